"""Captioned image files as the batches of a compute function; an image that does not open is named and left out."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from loss_logging.captions.folder.read import CaptionedFile
from loss_logging.captions.folder.webdataset import ArchivedImage
from loss_logging.errors import LossLoggingError
from loss_logging.evaluation.selection import Item
from loss_logging.support.colours import in_colour
from loss_logging.support.read_ahead import read_ahead

if TYPE_CHECKING:
    import torch

__all__ = ["ImageBatches", "ImageRow", "about_unopened", "image_row", "open_rows"]

_Side: TypeAlias = int | Callable[[], int]
_MOST_NAMED = 10


class ImageRow(NamedTuple):
    """An image that is not opened yet.

    Args:
        path: its name in the records.
        dataset: what it belongs to.
        caption: "" where there is none.
        image: where the file is, or its bytes; None where it is left out.
        left_out: why.
    """

    path: str
    dataset: str
    caption: str
    image: str | bytes | None
    left_out: str = ""


class _Square(NamedTuple):
    """An image as the model sees it: pixels (3, S, S) in [-1, 1], and what SDXL is told of it, height or top first."""

    pixels: torch.Tensor
    original_size: tuple[int, int]
    crop_top_left: tuple[int, int]


_Example: TypeAlias = tuple[ImageRow, _Square]


class ImageBatches:
    """Opens images, scales their shorter side to ``resolution`` and takes the square in the middle.

    A thread opens the images of the next batch while the caller works with one.

    A batch is a mapping: ``paths`` (relative to ``root`` where they are below it, so that figures do not depend on
    where that is), ``captions`` ("" where there is none) and ``datasets``, lists of B; ``pixel_values``, (B, 3, S, S)
    float32 in [-1, 1]; ``original_sizes`` and ``crop_top_lefts``, (B, 2).

    Args:
        files: the images and their captions, in files or in a WebDataset's.
        root: the folder that was read.
        resolution: S, in pixels, or what gives it once it is needed.
        batch_size: B; the last batch may be smaller.
        most: open no more than so many images; None for all.
        warnings: sentences about the files, for the report.

    Raises:
        LossLoggingError: while it is read, when it turns out that no image opens.

    Attributes:
        skips: tells of an item and its caption whether it is passed over, before its image is opened; None for none.
        warnings: those that were given and, once all was read, one about the images that do not open, if there are any.
    """

    def __init__(
        self,
        files: Iterable[CaptionedFile | ArchivedImage],
        root: Path,
        resolution: _Side,
        batch_size: int,
        most: int | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        self._files = files
        self._root = root
        self._resolution = resolution
        self._batch_size = batch_size
        self._most = most
        self._given = list(warnings)
        self.warnings = self._given
        self.skips: Callable[[Item, str], bool] | None = None

    def __len__(self) -> int:
        if self.skips is not None:
            raise TypeError("how many images are passed over is not known before they were asked for")
        if not isinstance(self._files, Sized):
            raise TypeError("how many images a WebDataset holds is not known before it is read")
        images = len(self._files) if self._most is None else min(self._most, len(self._files))
        return -(-images // self._batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        failed: list[str] = []
        examples: list[_Example] = []
        opened = 0
        found = self._found()
        # What is passed over may depend on what was computed before, so that nothing is asked ahead.
        for example in found if self.skips is not None else read_ahead(found, self._batch_size):
            if isinstance(example, str):
                failed.append(example)
                continue
            opened += 1
            if example is None:
                continue
            examples.append(example)
            if len(examples) == self._batch_size:
                self.warnings = self._given + about_unopened(failed, opened)  # perhaps nobody asks for more
                yield _batch(examples)
                examples = []
        about = about_unopened(failed, opened)
        self.warnings = self._given + about
        if examples:
            yield _batch(examples)
        if not opened:
            raise LossLoggingError(f"{self._root}: {' '.join(about) or 'there are no images'}")

    def _found(self) -> Iterator[_Example | str | None]:
        """Each image that opens, the reason where one does not, and None where one is passed over."""
        opened = 0
        for file in self._files:
            if opened == self._most:
                return
            row = image_row(file, self._root)
            skipped = self.skips is not None and self.skips(Item(row.dataset, row.path), row.caption)
            example = None if skipped else _example(row, self._resolution)
            opened += not isinstance(example, str)
            yield example


def image_row(file: CaptionedFile | ArchivedImage, root: Path) -> ImageRow:
    """The image as a row; its name is relative to ``root`` where it is below it, so that it does not depend on that."""
    if isinstance(file, ArchivedImage):
        return ImageRow(file.path, file.dataset, file.caption or "", file.data, file.left_out)
    path = Path(file.path)
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else file.path
    return ImageRow(name, file.dataset, file.caption or "", str(path.absolute()))


def open_rows(rows: Mapping[str, Sequence[Any]], resolution: int) -> tuple[dict[str, Any], list[str]]:
    """A batch like one of `ImageBatches`, and the images that do not open and are not in it, each with the reason.

    Args:
        rows: the columns of some `ImageRow`, of which ``left_out`` may be missing, and perhaps ``error``: what went
            wrong in reading them.
        resolution: side of the squares, in pixels.

    Raises:
        LossLoggingError: a row has an error.
    """
    for error in filter(None, rows.get("error", ())):
        raise LossLoggingError(error)
    columns = [name for name in ImageRow._fields if name in rows]
    values = zip(*(rows[name] for name in columns), strict=True)
    opened = [_example(ImageRow(**dict(zip(columns, row, strict=True))), resolution) for row in values]
    examples = [example for example in opened if not isinstance(example, str)]
    failed = [example for example in opened if isinstance(example, str)]
    return _batch(examples) if examples else {"paths": [], "datasets": []}, failed


def _example(row: ImageRow, resolution: _Side) -> _Example | str:
    """The opened image, or its name and why it does not open."""
    if row.image is None:
        return f"{row.path} ({row.left_out})"
    try:
        return row, _open(row.image, resolution)
    except _unreadable() as error:
        return f"{row.path} ({_reason(error)})"


def _batch(examples: list[_Example]) -> dict[str, Any]:
    import torch

    rows, squares = zip(*examples, strict=True)
    return {
        "paths": [row.path for row in rows],
        "captions": [row.caption for row in rows],
        "datasets": [row.dataset for row in rows],
        "pixel_values": torch.stack([square.pixels for square in squares]),
        "original_sizes": torch.tensor([square.original_size for square in squares]),
        "crop_top_lefts": torch.tensor([square.crop_top_left for square in squares]),
    }


def _open(source: str | bytes, side: _Side) -> _Square:
    import torch
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        image = in_colour(ImageOps.exif_transpose(file))
    resolution = side() if callable(side) else side  # not before: a model may have to be loaded to know it
    scale = resolution / min(image.size)
    width, height = (max(resolution, round(side * scale)) for side in image.size)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    scaled = image.resize((width, height), Image.Resampling.LANCZOS)
    square = np.asarray(scaled.crop((left, top, left + resolution, top + resolution)), dtype=np.float32)
    pixels = torch.from_numpy(square / 127.5 - 1).permute(2, 0, 1)
    return _Square(pixels.contiguous(), (image.height, image.width), (top, left))


def _unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises on files that are damaged, cut short, too large or no images."""
    from PIL import Image

    return (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error, Image.DecompressionBombError)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no image that Pillow knows"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def about_unopened(failed: list[str], opened: int) -> list[str]:
    """A sentence about the images that do not open; none when there are none."""
    if not failed:
        return []
    named = ", ".join(failed[:_MOST_NAMED])
    more = f", and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
    return [f"{len(failed)} of {len(failed) + opened} images do not open and are not included: {named}{more}"]
