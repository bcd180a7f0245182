"""CaptionWriter: writes a caption back to the place it was read from."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from loss_logging.captions.fix import MOST_CHARACTERS
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.edited_tables import EDITORS, Wanted
from loss_logging.captions.folder.edited_text import edited_bytes, with_caption, with_caption_in_json
from loss_logging.captions.folder.image_suffixes import ARCHIVES, IMAGES, TEXTS
from loss_logging.captions.folder.kept_files import ConflictError, KeptFiles, NotWrittenError, changed
from loss_logging.captions.folder.table_columns import Columns

__all__ = ["CaptionWriter", "is_in_archive", "refusal"]

_MOST_BYTES = 64 * 2**20
"""The largest caption file of one image; tables are read in pieces."""


class CaptionWriter:
    """Writes captions of a folder back to the files and tables that they were read from.

    A file is replaced as a whole or not at all, with a backup (see `KeptFiles`). Its encoding, byte order mark, line
    ends, other lines, rows and columns stay. A caption that has changed since it was read is never overwritten.

    Args:
        root: the folder; no file outside it is written.
        columns: the columns of tables; guessed when None, as in reading.
        suffix: the suffix of the new file for an image without a caption.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> _ = (root / "1.txt").write_bytes("une fenêtre\\r\\n".encode("latin-1"))
        >>> file = CaptionedFile(str(root / "1.png"), "d", "une fenêtre", str(root / "1.txt"))
        >>> CaptionWriter(root).write(file, "une fenêtre bleue").name
        '1.txt'
        >>> (root / "1.txt").read_bytes()
        b'une fen\\xeatre bleue\\r\\n'
    """

    def __init__(self, root: Path, columns: Columns | None = None, suffix: str = ".txt") -> None:
        self._files = KeptFiles(root)
        self._columns = columns or Columns()
        self._suffix = suffix
        self._made: set[Path] = set()

    def write(self, file: CaptionedFile, new: str | None) -> Path | None:
        """Write a caption in place of ``file.caption``; returns the path of the written file.

        None for ``new`` removes the file that this writer made for an image without a caption, and returns None.

        Raises:
            ConflictError: the file is gone, or its caption has changed.
            NotWrittenError: the file cannot be written, or ``new`` cannot be a caption; the message says why and what
                to do.
        """
        if new is None:
            self._take_back(file)
            return None
        if (reason := refusal(new)) is not None:
            raise NotWrittenError(reason)
        if is_in_archive(file.source or file.path):
            where = file.source or file.path
            raise NotWrittenError(
                f"{where} is in a tar file, which cannot be edited: write a new tar with loss-logging apply"
            )
        try:
            if file.source is None:
                return self._create(file, new)
            return self._edit_file(file, new)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NotWrittenError(f"{file.source or file.path} stays as it was: {reason}") from error

    def _edit_file(self, file: CaptionedFile, new: str) -> Path:
        source = Path(file.source or "")
        self._files.replace(source, lambda old, out: self._edit(old, out, file, new))
        return source

    def _create(self, file: CaptionedFile, new: str) -> Path:
        image = Path(file.path)
        if image.suffix.lower() not in IMAGES or not image.is_file():
            raise NotWrittenError(f"{file.path} is no image file: make its caption file by hand")
        path = image.with_suffix(self._suffix)
        self._files.create(path, f"{new}\n".encode())
        self._made.add(path)
        return path

    def _take_back(self, file: CaptionedFile) -> None:
        path = Path(file.source or "")
        if path not in self._made:
            raise NotWrittenError(f"{path} was there before; write an empty caption instead")
        self._edit_file(file, "")  # raises a conflict if somebody has written into it
        path.unlink()
        self._made.discard(path)

    def _edit(self, old: IO[Any], out: IO[Any], file: CaptionedFile, new: str) -> None:
        suffix = Path(file.source or "").suffix.lower()
        try:
            if suffix not in TEXTS and (suffix != ".json" or file.line is not None):
                EDITORS[suffix](old, out, Wanted(file.line or 1, file.path, file.caption, new, self._columns))
                return
            if file.line is not None and "\n" in new and "\n" not in (file.caption or "").strip():
                raise NotWrittenError("has one caption per line: write the caption in one line")
            edited = edited_bytes(old.read(_MOST_BYTES), lambda text: _edited(text, file, suffix, new))
            if edited is None:
                raise changed()
            out.write(edited)
        except (ConflictError, NotWrittenError) as error:
            raise type(error)(f"{file.source} {error}") from error


def _edited(text: str, file: CaptionedFile, suffix: str, new: str) -> str | None:
    if suffix in TEXTS:
        return with_caption(text, file.caption or "", new, file.line)
    return with_caption_in_json(text, file.caption or "", new)


def refusal(caption: str) -> str | None:
    """The reason why a text cannot be a caption; None if it can.

    >>> refusal("a cat"), refusal("word " * 50_000)
    (None, 'the caption has 250,000 characters; allowed: up to 100,000')
    """
    if len(caption) > MOST_CHARACTERS:
        return f"the caption has {len(caption):,} characters; allowed: up to {MOST_CHARACTERS:,}"
    bad = next((sign for sign in caption if _is_no_character(sign)), None)
    return None if bad is None else f"the caption holds {bad!r}, which is no character; remove it"


def _is_no_character(sign: str) -> bool:
    return (sign < " " and sign not in "\t\r\n") or "\ud800" <= sign <= "\udfff"


def is_in_archive(path: str) -> bool:
    """Whether a path leads into an archive, such as a tar.

    >>> is_in_archive("shards/0001.tar/7.png"), is_in_archive("tar/7.png")
    (True, False)
    """
    return any(part.lower().endswith(ARCHIVES) for part in Path(path).parts)
