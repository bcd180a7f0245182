"""CaptionPlaces: the current caption of an image, with its file or table."""

from __future__ import annotations

import os
from pathlib import Path

from loss_logging.captions.folder.caption_files import CaptionFiles
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.folder_listing import JSON_TABLES, suffix
from loss_logging.captions.folder.folder_names import ImageNames
from loss_logging.captions.folder.image_suffixes import IMAGES, TEXTS
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.captions.folder.tables import TABLES
from loss_logging.errors import LossLoggingError

__all__ = ["CaptionPlaces", "images_with"]

_ABOVE = 3
"""The number of folders above an image whose tables may name it."""
_ROWS_STAY = (".jsonl", ".parquet")


class CaptionPlaces:
    """Finds the caption of an image in the files beside it, else in the tables of its folder and the folders above.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "1.png").write_bytes(b""), (folder / "1.txt").write_text("a cat")
        >>> CaptionPlaces().of(folder / "1.png").caption
        'a cat'
    """

    def __init__(self) -> None:
        self._tables: dict[str, tuple[tuple[int, int], dict[str, CaptionedFile]]] = {}  # with the state of each table

    def of(self, image: Path) -> CaptionedFile:
        """The image with its first caption; ``caption`` and ``source`` are None if it has none."""
        files = CaptionFiles(FolderProblems())
        for ending in TEXTS:
            path = image.with_suffix(ending)
            if path.is_file():
                return CaptionedFile(str(image), "", files.text(str(path)), str(path))
        beside = image.with_suffix(".json")
        if beside.is_file() and (captions := files.in_json(str(beside))):
            return CaptionedFile(str(image), "", captions[0], str(beside))
        return self._in_tables(image) or CaptionedFile(str(image), "", None)

    def _in_tables(self, image: Path) -> CaptionedFile | None:
        key = ImageNames(str(image.parent)).key(str(image))
        for folder in (image.parent, *image.parent.parents[:_ABOVE]):
            for table in sorted(entry.name for entry in os.scandir(folder) if _is_table(entry.name)):
                found = self._entries(str(folder / table)).get(key)
                if found is not None:
                    return CaptionedFile(str(image), "", found.caption, found.source, found.line)
        return None

    def wrote(self, file: CaptionedFile) -> None:
        """Note that a caption was written to a table, so that the table is not read again unless rows have moved."""
        table = file.source or ""
        if table in self._tables and table.lower().endswith(_ROWS_STAY):
            _, entries = self._tables[table]
            entries[ImageNames(str(Path(file.path).parent)).key(file.path)] = file
            self._tables[table] = _state(table), entries

    def _entries(self, table: str) -> dict[str, CaptionedFile]:
        state = _state(table)
        if table not in self._tables or self._tables[table][0] != state:
            self._tables[table] = state, _read_table(table)
        return self._tables[table][1]


def _state(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size


def _is_table(name: str) -> bool:
    ending = suffix(name)
    if name.startswith(".") or ending not in TABLES:
        return False
    return ending != ".json" or JSON_TABLES.fullmatch(name) is not None


def _read_table(path: str) -> dict[str, CaptionedFile]:
    """By image, its first caption in a table."""
    names = ImageNames(str(Path(path).parent))
    found: dict[str, CaptionedFile] = {}
    try:
        for file in read_captioned_folder(path):
            found.setdefault(names.key(file.path), file)
    except LossLoggingError:  # a table of something else
        return {}
    return found


def images_with(image: Path) -> list[Path]:
    """The other images that share the caption file of an image: the same name with another suffix."""
    others = (image.with_suffix(suffix) for suffix in sorted(IMAGES))
    return [other for other in others if other != image and other.is_file()]
