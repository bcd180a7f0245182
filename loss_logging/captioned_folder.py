"""Reads the images and captions of a folder, in the layouts that trainers read."""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from loss_logging.caption_files import CaptionFiles
from loss_logging.caption_tables import TABLES, Columns, NoColumnsError, Row, decode_json, read_table
from loss_logging.decoding import BinaryDataError, TextDecoder
from loss_logging.errors import LossLoggingError
from loss_logging.folder_listing import JSON_TABLES, Listing, is_companion, stem, suffix
from loss_logging.folder_names import ImageNames
from loss_logging.folder_problems import FolderProblems
from loss_logging.image_suffixes import IMAGES, TEXTS

__all__ = ["CaptionedFile", "class_tokens", "read_captioned_folder"]

_KOHYA_FOLDER = re.compile(r"\d+_(.+)")
_SHARD = re.compile(r"\d+")
_IMAGE_NAME = re.compile(rb"\.(?:png|jpe?g|webp|bmp|gif|avif|jxl|mp4)\b", re.IGNORECASE)
_LOOKED_AT = 65_536  # bytes of a table that is not understood


class CaptionedFile(msgspec.Struct, frozen=True, gc=False):
    """An image and its caption.

    Args:
        path: of the image, as found on disk or as the table names it, below the table's folder.
        dataset: the folder that holds it or its table, relative to the folder that was read; folders of digits alone
            are shards of the folder above them.
        caption: as it is in the file, but for a last line end; None where there is none or it cannot be read.
        source: the file that the caption is in; None where there is none.
        line: the line or row in a table, from 1; None for a file with one caption.
    """

    path: str
    dataset: str
    caption: str | None
    source: str | None = None
    line: int | None = None


def read_captioned_folder(
    path: str | os.PathLike[str],
    *,
    problems: FolderProblems | None = None,
    path_column: str | None = None,
    caption_column: str | None = None,
) -> Iterator[CaptionedFile]:
    """Read images and captions, folder by folder, each in the order of the names.

    It understands, in any mixture and depth: images and videos with a ``.txt``, ``.caption`` or ``.json`` beside them
    (kohya, ai-toolkit, SimpleTuner), ``metadata.jsonl``, ``.csv`` and ``.parquet`` (Hugging Face's imagefolder), other
    tables with a column of file names and one of captions, kohya's ``meta_cap.json``, and folders of captions alone.
    Hidden files are left out. Links to folders are followed, each folder is read once.

    Every caption is yielded: an image with several once for each, an image without any once, with None. Memory grows
    with the names in one folder and in the tables, not with the captions.

    Args:
        path: a folder, or one caption, image or table.
        problems: collects what cannot be read and what a trainer would miss; nothing of that kind is raised.
        path_column: the column of file names in tables; guessed when None.
        caption_column: the column of captions in tables; guessed when None.

    Raises:
        LossLoggingError: ``path`` does not exist, or is a file of another kind or without captions.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp(), "cats")
        >>> folder.mkdir()
        >>> for name, text in {"1.png": "", "1.txt": "a cat", "2.png": ""}.items():
        ...     _ = (folder / name).write_text(text)
        >>> [(file.dataset, file.caption) for file in read_captioned_folder(folder)]
        [('cats', 'a cat'), ('cats', None)]
    """
    root = os.path.normpath(path)
    reader = _Reader(root, FolderProblems() if problems is None else problems, Columns(path_column, caption_column))
    if Path(root).is_dir():
        return reader.read_folders()
    if not Path(root).exists():
        raise LossLoggingError(f"{root} does not exist")
    return reader.read_file()


def class_tokens(dataset: str) -> str | None:
    """What kohya trains the images without caption on, in a folder named ``N_tokens``; None for other names.

    >>> class_tokens("img/10_sks dog"), class_tokens("dogs")
    ('sks dog', None)
    """
    match = _KOHYA_FOLDER.fullmatch(dataset.rpartition("/")[2])
    return match[1] if match else None


class _Table(NamedTuple):
    """A table that was read: its name, and by image a hash of each caption that it has for it."""

    name: str
    captions: defaultdict[str, set[int]]


class _Reader:
    """Reads one folder, or one file, and notes what is wrong."""

    def __init__(self, root: str, problems: FolderProblems, columns: Columns) -> None:
        self._root = root
        self._problems = problems
        self._columns = columns
        self._names = ImageNames(root if Path(root).is_dir() else str(Path(root).parent))
        self._companions: set[str] = set()  # that tables name
        self._no_tables: list[tuple[str, str]] = []  # of captions that are known; and what they have instead

    def read_folders(self) -> Iterator[CaptionedFile]:
        visited: set[tuple[int, int]] = set()
        without = 0
        # With each folder, the tables above it.
        waiting: list[tuple[str, str, tuple[_Table, ...]]] = [(self._root, "", ())]
        while waiting:
            path, relative, tables = waiting.pop()
            if (listing := self._list(path, visited)) is None:
                continue
            dataset = self._dataset(relative)
            for entry in listing.tables:
                table = _Table(entry.name, defaultdict(set))
                yield from self._table(
                    entry.path, path, dataset, table, tables, listing.archives.pop(stem(entry.name), None)
                )
                tables = (*tables, table) if table.captions else tables
            for file in self._pairs(listing, relative, dataset, tables):
                without += file.caption is None and file.source is None
                yield file
            self._tell_unread(listing)
            prefix = f"{relative}/" if relative else ""
            waiting.extend((entry.path, prefix + entry.name, tables) for entry in reversed(listing.folders))
        for path, columns in self._no_tables if without else ():
            self._problems.add("not_understood", path, f"is no table of captions that is known; it has: {columns}")

    def _list(self, path: str, visited: set[tuple[int, int]]) -> Listing | None:
        listing = Listing()
        try:
            status = Path(path).stat()
            if (status.st_dev, status.st_ino) in visited:
                self._problems.add("link_loop", path, "leads to a folder that was read already")
                return None
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not entry.name.startswith("."):
                        self._sort(entry, listing)
        except OSError as error:
            self._unreadable(path, error)
            return None
        return listing.settle()

    def _sort(self, entry: os.DirEntry[str], listing: Listing) -> None:
        try:
            if entry.is_file():
                listing.add(entry)
            elif entry.is_dir():
                listing.folders.append(entry)
            elif entry.is_symlink():
                self._problems.add("unreadable", entry.path, "is a link to nothing")
        except OSError as error:  # a link to itself
            self._unreadable(entry.path, error)

    def _dataset(self, relative: str) -> str:
        parts = relative.split("/")
        while parts and (not parts[-1] or _SHARD.fullmatch(parts[-1])):
            parts.pop()
        return "/".join(parts) or Path(self._root).resolve().name or self._root

    def read_file(self) -> Iterator[CaptionedFile]:
        """The root itself: a table, or an image and its caption, whichever of the two it is."""
        path = Path(self._root)
        ending = path.suffix.lower()
        if ending in TABLES:
            dataset = path.absolute().parent.name if path.stem.lower() == "metadata" else path.stem
            yield from self._table(str(path), str(path.parent), dataset, _Table(path.name, defaultdict(set)))
        elif ending in IMAGES or ending in TEXTS:
            if (listing := self._list(str(path.parent), set())) is not None:
                yield from self._pairs(listing.only(path.stem), "", path.absolute().parent.name, ())
        else:
            allowed = ", ".join(sorted({*TABLES, *TEXTS}))
            raise LossLoggingError(f"{path} is no caption file; allowed: a folder, an image, or a file with {allowed}")

    def _table(
        self,
        path: str,
        folder: str,
        dataset: str,
        table: _Table,
        others: tuple[_Table, ...] = (),
        archive: os.DirEntry[str] | None = None,
    ) -> Iterator[CaptionedFile]:
        """What the table says, but for what the ``others`` say of the same images, too."""
        if not self._could_be(path):
            return
        meant = path == self._root or stem(table.name).lower() == "metadata"
        columns = msgspec.structs.replace(self._columns, needs_path=not meant)
        try:
            for row in read_table(path, columns, self._problems, lambda name: bool(self._names.find(name, folder))):
                self._companions.update(map(self._names.key, self._found(row.companions, folder)))
                inside = archive.path if archive is not None else path if row.image_inside else None
                image = self._image(row, path, folder, inside)
                if self._is_new(image, row, table, others):
                    yield CaptionedFile(image, dataset, row.caption, path, row.line)
        except NoColumnsError as error:
            self._no_columns(path, str(error), meant)
        except BinaryDataError as error:
            self._problems.add("binary", path, str(error) or "holds no text")
        except OSError as error:
            self._unreadable(path, error)

    def _image(self, row: Row, path: str, folder: str, inside: str | None) -> str:
        """The path of the image of a row, which may be inside an archive or the table."""
        if row.name is None:
            return f"{path}:{row.line}"
        if "://" in row.name:
            return row.name
        if inside is not None and inside != path:
            return f"{inside}/{row.name}"
        if (found := self._names.find(row.name, folder)) is not None:
            return found
        if not (path == self._root or inside or suffix(row.name) not in IMAGES):
            self._problems.add("no_image", path, f"there is no {row.name}", row.line)
        return os.path.normpath(Path(folder, row.name))

    def _found(self, names: Iterable[str], folder: str) -> Iterator[str]:
        return (found for name in names if (found := self._names.find(name, folder)) is not None)

    def _is_new(self, image: str, row: Row, table: _Table, others: tuple[_Table, ...]) -> bool:
        """Remember what the table says of the image, and whether nothing says the same."""
        if row.name is None:
            return True
        key, caption = self._names.key(image), hash(row.caption)
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
        """Whether a JSON file of a name that no table has is one all the same; many other things are JSON."""
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
            self._no_tables.append((path, columns))

    def _pairs(
        self, listing: Listing, relative: str, dataset: str, tables: tuple[_Table, ...]
    ) -> Iterator[CaptionedFile]:
        """Each image with the captions beside it, then the captions without image."""
        files, stems, companions = CaptionFiles(self._problems), listing.stems(), []
        for image in listing.images:
            key = self._names.key(image.path) if tables or self._companions else ""
            told = [table for table in tables if key in table.captions]
            found = list(self._beside(image, listing, dataset, files))
            self._tell_several(image, found, told)
            same = {caption for table in told for caption in table.captions[key]}
            yield from (file for file in found if hash(file.caption) not in same)
            if found or told:
                continue
            if key in self._companions or is_companion(image.name, relative, stems):
                companions.append(image)
            else:
                yield CaptionedFile(image.path, dataset, None)
        if companions:
            count = f"{len(companions)} images" if len(companions) > 1 else "an image"
            self._problems.add("left_out", companions[0].path, f"{count} of masks, controls or previews")
        yield from self._without_image(listing, dataset, files, stems)
        if listing.images and any(_KOHYA_FOLDER.fullmatch(inner.name) for inner in listing.folders):
            count = f"{len(listing.images)} images" if len(listing.images) > 1 else "an image"
            self._problems.add("not_read", listing.images[0].path, f"{count} beside folders named N_name")

    def _tell_several(self, image: os.DirEntry[str], found: list[CaptionedFile], told: list[_Table]) -> None:
        """Note where an image has captions in several places, unless they say the same."""
        places = dict.fromkeys(Path(file.source or "").name for file in found)
        key = self._names.key(image.path) if told else ""
        captions = {hash(file.caption) for file in found}.union(*(table.captions[key] for table in told))
        if len(captions) > 1 and len(places) + bool(told) > 1:
            names = [*places, *(table.name for table in told[:1])]
            self._problems.add("two_captions", image.path, f"has captions in {' and '.join(names)}")

    def _beside(
        self, image: os.DirEntry[str], listing: Listing, dataset: str, files: CaptionFiles
    ) -> Iterator[CaptionedFile]:
        """What the files of the image's name say, each text once."""
        name, seen = stem(image.name), set()
        texts = ((text.path, files.text(text.path)) for text in listing.texts.get(name, ()))
        beside = listing.beside.get(name)
        in_json = ((beside.path, caption) for caption in files.in_json(beside.path)) if beside else ()
        for path, caption in itertools.chain(texts, in_json):
            if caption is None or caption not in seen:
                seen.add(caption)
                yield CaptionedFile(image.path, dataset, caption, path)

    def _without_image(
        self, listing: Listing, dataset: str, files: CaptionFiles, stems: set[str]
    ) -> Iterator[CaptionedFile]:
        """Captions whose image is missing, unless the folder holds nothing but captions."""
        only_captions = not (listing.images or listing.folders or listing.archives)
        for name, texts in listing.texts.items():
            for text in () if name in stems else texts:
                if only_captions:
                    yield CaptionedFile(text.path, dataset, files.text(text.path), text.path)
                else:
                    self._problems.add("no_image", text.path, "there is no image of this name beside it")

    def _tell_unread(self, listing: Listing) -> None:
        self._problems.unread.update(listing.unread)
        for archive in listing.archives.values():
            self._problems.unread[suffix(archive.name)] += 1
            self._problems.add("archive", archive.path, "is an archive, whose captions are not checked")
        for image in listing.no_trainer_reads:
            self._problems.add("unknown_suffix", image.path, f"no trainer reads {suffix(image.name)}")

    def _unreadable(self, path: str, error: OSError) -> None:
        self._problems.add("unreadable", path, error.strerror or str(error))


def _names_images(path: str) -> bool:
    """Whether a file says something of images, at its beginning."""
    with Path(path).open("rb") as file:
        return suffix(path) == ".parquet" or bool(_IMAGE_NAME.search(file.read(_LOOKED_AT)))
