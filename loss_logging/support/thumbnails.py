"""Thumbnails of the images that records name, or the reason why there is none."""

from __future__ import annotations

import io
import re
import stat
import warnings
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from loss_logging.errors import LossLoggingError
from loss_logging.support.colours import eight_bits

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NoThumbnailError", "Thumbnail", "Thumbnails", "existing", "shrunk", "thumbnail"]

# Raster formats that need no external program (EPS runs Ghostscript); some builds of Pillow lack some of them.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MOST_BYTES = 256 * 2**20
_MOST_PIXELS = 100_000_000
"""The most pixels to decode; that takes 0.4 GB of memory for a moment."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class NoThumbnailError(LossLoggingError):
    """There is no picture; the message is a short reason for a person."""


class Thumbnail(msgspec.Struct, frozen=True):
    """A picture as a data URI, or the ``reason`` why there is none."""

    uri: str | None
    reason: str = ""


def thumbnail(path: str, *, pixels: int = 256, folder: Path | None = None) -> bytes:
    """A WebP picture of the image at ``path``, at most ``pixels`` wide and high. Needs Pillow.

    Args:
        path: the path in a record; a relative path starts from ``folder``.
        pixels: longest side of the picture, in pixels; smaller images are not enlarged.
        folder: the folder of the images. No file outside it is opened, even if ``path`` or a link leads there. None
            means the working directory and allows absolute paths, as trainers record them.

    Raises:
        NoThumbnailError: the file does not exist, is no image, is too large, or is outside ``folder``.
    """
    return shrunk(existing(path, folder), pixels=pixels)


def shrunk(image: Path | BinaryIO | Image, *, pixels: int = 256) -> bytes:
    """A WebP picture of an image file or a decoded image, at most ``pixels`` wide and high.

    Raises:
        NoThumbnailError: ``image`` is no image, or is too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.init()
    formats = [name for name in _FORMATS if name in Image.ID]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata and large sizes; the size is checked here
            with image.copy() if isinstance(image, Image.Image) else Image.open(image, formats=formats) as opened:
                width, height = opened.size
                opened.draft("RGB", (2 * pixels, 2 * pixels))  # decodes a JPEG at about the needed size
                if opened.width * opened.height > _MOST_PIXELS:
                    raise NoThumbnailError(f"too large: {width:,} x {height:,} pixels")
                opened.thumbnail((pixels, pixels))
                shown = eight_bits(ImageOps.exif_transpose(opened))
                out = io.BytesIO()
                shown.convert("RGBA" if shown.has_transparency_data else "RGB").save(out, "WEBP", quality=75)
    except NoThumbnailError:
        raise
    except Image.DecompressionBombError as error:  # Pillow checks the size before us
        raise NoThumbnailError("too large: more than 350 million pixels") from error
    except UnidentifiedImageError as error:
        raise NoThumbnailError("not an image that can be shown") from error
    except Exception as error:
        raise NoThumbnailError(f"damaged image ({type(error).__name__}: {str(error)[:80]})") from error
    return out.getvalue()


def existing(path: str, folder: Path | None) -> Path:
    """The regular file at ``path``; see `thumbnail`.

    Raises:
        NoThumbnailError: it does not exist, or is outside ``folder``.
    """
    if _URL.match(path):
        raise NoThumbnailError("not a file on this machine")
    try:
        file = Path(folder or "", path).resolve()
        is_free = folder is None and Path(path).is_absolute()
        if not is_free and not file.is_relative_to(Path(folder or "").resolve()):
            raise NoThumbnailError(f"outside {folder or 'the current folder'}: not opened")
        status = file.stat()
    except (OSError, ValueError, RuntimeError) as error:  # a null byte, a loop of links
        raise NoThumbnailError(_why(error, Path(folder or "", path))) from error
    if not stat.S_ISREG(status.st_mode):
        raise NoThumbnailError("not a file but a folder or device")
    if status.st_size > _MOST_BYTES:
        raise NoThumbnailError(f"too large: {status.st_size / 1e6:,.0f} MB")
    return file


def _why(error: Exception, file: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"not found: looked for {file.absolute()}"
    return getattr(error, "strerror", None) or "not the name of a file"


class Thumbnails:
    """Data URIs for consecutive pages, at most ``most`` per page; pictures of the previous page are reused.

    Example:
        >>> Thumbnails()("https://example.org/cat.png").reason
        'not a file on this machine'
    """

    def __init__(self, *, pixels: int = 256, folder: Path | None = None, most: int = 200) -> None:
        self._pixels = pixels
        self._folder = folder
        self._most = most
        self._before: dict[str, Thumbnail] = {}
        self._made: dict[str, Thumbnail] = {}
        self._missing: dict[str, Thumbnail] = {}

    def next_page(self) -> None:
        """Begin another page."""
        self._before, self._made, self._missing = self._made, {}, {}

    def __call__(self, path: str) -> Thumbnail:
        """The picture of the image at ``path``; a file that has changed keeps its earlier picture."""
        if path not in self._made and len(self._made) >= self._most:
            return Thumbnail(None, f"the page has pictures of {self._most} items only")
        if path in self._missing:
            return self._missing[path]
        try:
            self._made[path] = self._made.get(path) or self._before.get(path) or self._make(path)
        except NoThumbnailError as error:
            self._missing[path] = Thumbnail(None, str(error))
            return self._missing[path]
        return self._made[path]

    def _make(self, path: str) -> Thumbnail:
        data = thumbnail(path, pixels=self._pixels, folder=self._folder)
        return Thumbnail(f"data:image/webp;base64,{b64encode(data).decode()}")
