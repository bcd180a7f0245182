"""TableReader: the captions in the tables of a folder, and their images."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder
from loss_logging.captions.folder.folder_listing import JSON_TABLES, stem, suffix
from loss_logging.captions.folder.folder_names import ImageNames
from loss_logging.captions.folder.image_suffixes import IMAGES
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.table_columns import Columns, NoColumnsError
from loss_logging.captions.folder.tables import TableRow, decode_json, read_table
from loss_logging.captions.trainers import TRAINERS, Trainer
from loss_logging.errors import LossLoggingError

__all__ = ["ReadTable", "TableReader"]

_IMAGE_NAME = re.compile(rb"\.(?:png|jpe?g|webp|bmp|gif|avif|jxl|mp4)\b", re.IGNORECASE)
_LOOKED_AT = 65_536  # bytes at the start of an unknown table


class ReadTable(NamedTuple):
    """A table that was read: its name, and by image the hashes of its captions."""

    name: str
    captions: defaultdict[str, set[int]]


class TableReader:
    """Reads the tables of a folder, and remembers which images they caption.

    Args:
        root: the folder or the table that is read.
        columns: the columns to use.
        problems: takes the problems of tables.

    Attributes:
        names: finds the images that tables name.
        companions: the masks and control images that tables name.
        not_understood: tables of images without a known column of captions, each with the columns that it has.
    """

    def __init__(self, root: str, columns: Columns, problems: FolderProblems) -> None:
        self.names = ImageNames(root if Path(root).is_dir() else str(Path(root).parent))
        self.companions: set[str] = set()
        self.not_understood: list[tuple[str, str]] = []
        self._root = root
        self._columns = columns
        self._problems = problems

    def read(
        self,
        path: str,
        folder: str,
        dataset: str,
        table: ReadTable,
        others: Sequence[ReadTable] = (),
        archive: os.DirEntry[str] | None = None,
        trainer: Trainer | None = None,
    ) -> Iterator[CaptionedFile]:
        """The captions of a table, without captions that ``others`` give to the same images.

        Args:
            path: the path of the table.
            folder: the folder that its file names are relative to.
            dataset: the name of the captions' dataset.
            table: collects its images and captions.
            others: the tables above it.
            archive: the archive that holds its images; None for a folder.
            trainer: the trainer that reads it; None for any.
        """
        if not self._could_be(path):
            return
        meant = path == self._root or stem(table.name).lower() == "metadata"
        columns = msgspec.structs.replace(
            self._columns, needs_path=not meant, second=trainer is not None and trainer.second_column
        )
        told = False
        try:
            for row in read_table(path, columns, self._problems, lambda name: bool(self.names.find(name, folder))):
                self.companions.update(map(self.names.key, self._found(row.companions, folder)))
                inside = archive.path if archive is not None else path if row.image_inside else None
                image = self._image(row, path, folder, inside)
                if row.others and not told:
                    told = True
                    self._tell_columns(row, path)
                for caption, trained in _captions(row, trainer):
                    if row.name is None or self._is_new(image, caption, table, others):
                        yield CaptionedFile(image, dataset, caption, path, row.line, trained=tuple(trained))
        except NoColumnsError as error:
            self._no_columns(path, str(error), meant)
        except BinaryDataError as error:
            self._problems.add("binary", path, str(error) or "holds no text")
        except OSError as error:
            self._problems.add("unreadable", path, error.strerror or str(error))

    def _image(self, row: TableRow, path: str, folder: str, inside: str | None) -> str:
        """The path of the image of a row, which may be inside an archive or the table."""
        if row.name is None:
            return f"{path}:{row.line}"
        if "://" in row.name:
            return row.name
        if inside is not None and inside != path:
            return f"{inside}/{row.name}"
        if (found := self.names.find(row.name, folder)) is not None:
            return found
        if not (path == self._root or inside or suffix(row.name) not in IMAGES):
            other = self.names.in_other_case(row.name, folder)
            message = f"there is no {row.name}" + (f", but {other}" if other else "")
            self._problems.add("no_image", path, message, row.line)
        return os.path.normpath(Path(folder, row.name))

    def _found(self, names: Iterable[str], folder: str) -> Iterator[str]:
        return (found for name in names if (found := self.names.find(name, folder)) is not None)

    def _tell_columns(self, row: TableRow, path: str) -> None:
        message = f"its captions were read from {row.column!r}; it also has {', '.join(map(repr, row.others))}"
        self._problems.add("several_columns", path, message)

    def _is_new(self, image: str, text: str | None, table: ReadTable, others: Sequence[ReadTable]) -> bool:
        """Remember a caption of the image; returns whether no table has the same caption for it."""
        key, caption = self.names.key(image), hash(text)
        before = [other for other in others if key in other.captions]
        if any(caption in one.captions[key] for one in before) or (
            key in table.captions and caption in table.captions[key]
        ):
            return False
        if before and key not in table.captions:
            self._problems.add("two_captions", image, f"has captions in {before[0].name} and {table.name}")
        table.captions[key].add(caption)
        return True

    def _could_be(self, path: str) -> bool:
        """Whether a JSON file with an unusual name may be a table of captions."""
        if suffix(path) != ".json" or path == self._root or JSON_TABLES.fullmatch(Path(path).name):
            return True
        try:
            decode_json(TextDecoder().decode(Path(path).read_bytes()).text)
        except (ValueError, OSError):
            return False
        return True

    def _no_columns(self, path: str, columns: str, meant: bool) -> None:
        if path == self._root:
            raise LossLoggingError(f"{path} has no column of captions; its columns are: {columns}")
        if meant and suffix(path) != ".json":
            self._problems.add("no_columns", path, f"has no column of captions; its columns are: {columns}")
        elif _names_images(path):
            self.not_understood.append((path, columns))


def _captions(row: TableRow, trainer: Trainer | None) -> list[tuple[str | None, list[str]]]:
    """The captions of a row, each with the texts that the trainer may use for it, if a trainer is known.

    A row has one caption, unless the trainer reads each line. Tags are joined to it as kohya does.
    """
    if row.caption is None and not row.tags:
        reads_nothing = trainer is not None and trainer.without in ("empty", "class_tokens")
        return [(None, trainer.variants("") if trainer is not None and reads_nothing else [])]
    if trainer is None and not row.tags:
        return [(row.caption, [])]
    pieces = (trainer or TRAINERS["kohya"]).pieces_of_row(row.caption, row.tags)
    variants = trainer.variants_of(pieces) if trainer is not None else [[] for _ in pieces]
    return list(zip(pieces, variants, strict=True))


def _names_images(path: str) -> bool:
    """Whether the start of a file names images."""
    with Path(path).open("rb") as file:
        return suffix(path) == ".parquet" or bool(_IMAGE_NAME.search(file.read(_LOOKED_AT)))
