"""Reads the images and captions of a folder, in the layouts that trainers read."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.tables import TABLES, Columns, NoColumnsError, decode_json, read_table
from loss_logging.errors import LossLoggingError

__all__ = ["CaptionedFile", "class_tokens", "read_captioned_folder"]

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jxl", ".heic", ".heif"}
_VIDEOS = {".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v"}
IMAGES = frozenset(_PICTURES | _VIDEOS)
TEXTS = (".txt", ".caption")

# Of JSON files, those with these names are tables: kohya's and others'. The rest may lie beside an image.
_JSON_TABLES = re.compile(r"(meta|captions?|dataset).*\.json", re.IGNORECASE)
_KOHYA_FOLDER = re.compile(r"\d+_(.+)")
_SHARD = re.compile(r"\d+")

_USUAL_SIZE, _MOST_READ = 8_192, 2**20  # bytes of a caption file


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


class _Folder:
    """The names in one folder, by what they are."""

    def __init__(self) -> None:
        self.images: list[os.DirEntry[str]] = []
        self.texts: defaultdict[str, list[os.DirEntry[str]]] = defaultdict(list)  # by stem
        self.beside: dict[str, os.DirEntry[str]] = {}  # JSON files, by stem
        self.tables: list[os.DirEntry[str]] = []
        self.folders: list[os.DirEntry[str]] = []

    def add(self, entry: os.DirEntry[str]) -> None:
        stem, suffix = _stem(entry.name), _suffix(entry.name)
        if suffix in IMAGES:
            self.images.append(entry)
        elif suffix in TEXTS:
            self.texts[stem].append(entry)
        elif suffix == ".json":
            self.beside[stem] = entry
        elif suffix in TABLES:
            self.tables.append(entry)

    def settle(self) -> _Folder:
        """Tell the JSON tables from the JSON files beside an image, once every name is known."""
        stems = {_stem(image.name) for image in self.images}
        for stem in [stem for stem in self.beside if stem not in stems]:
            entry = self.beside.pop(stem)
            if _JSON_TABLES.fullmatch(entry.name):
                self.tables.append(entry)
        return self

    def only(self, stem: str) -> _Folder:
        """The images and captions with this stem."""
        folder = _Folder()
        folder.images = [image for image in self.images if _stem(image.name) == stem]
        folder.texts[stem] = self.texts.get(stem, [])
        folder.beside = {stem: self.beside[stem]} if stem in self.beside else {}
        return folder


class _Reader:
    """Reads one folder, or one file, and notes what is wrong."""

    def __init__(self, root: str, problems: FolderProblems, columns: Columns) -> None:
        self._root = root
        self._problems = problems
        self._columns = columns

    def read_folders(self) -> Iterator[CaptionedFile]:
        visited: set[tuple[int, int]] = set()
        # With each folder, the images that the tables above it name.
        waiting: list[tuple[str, str, tuple[set[str], ...]]] = [(self._root, "", ())]
        while waiting:
            path, relative, named = waiting.pop()
            if (folder := self._list(path, visited)) is None:
                continue
            dataset = self._dataset(relative)
            for table in folder.tables:
                in_table: set[str] = set()
                yield from self._table(table.path, path, dataset, in_table)
                named = (*named, in_table) if in_table else named
            yield from self._pairs(folder, dataset, named)
            prefix = f"{relative}/" if relative else ""
            waiting.extend((entry.path, prefix + entry.name, named) for entry in reversed(folder.folders))

    def _list(self, path: str, visited: set[tuple[int, int]]) -> _Folder | None:
        folder = _Folder()
        try:
            status = Path(path).stat()
            if (status.st_dev, status.st_ino) in visited:
                self._problems.add("link_loop", path, "leads to a folder that was read already")
                return None
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not entry.name.startswith("."):
                        self._sort(entry, folder)
        except OSError as error:
            self._unreadable(path, error)
            return None
        return folder.settle()

    def _sort(self, entry: os.DirEntry[str], folder: _Folder) -> None:
        try:
            if entry.is_file():
                folder.add(entry)
            elif entry.is_dir():
                folder.folders.append(entry)
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
        suffix = path.suffix.lower()
        if suffix in TABLES:
            dataset = path.absolute().parent.name if path.stem.lower() == "metadata" else path.stem
            yield from self._table(str(path), str(path.parent), dataset, set())
        elif suffix in IMAGES or suffix in TEXTS:
            if (folder := self._list(str(path.parent), set())) is not None:
                yield from self._pairs(folder.only(path.stem), path.absolute().parent.name, ())
        else:
            allowed = ", ".join(sorted({*TABLES, *TEXTS}))
            raise LossLoggingError(f"{path} is no caption file; allowed: a folder, an image, or a file with {allowed}")

    def _table(self, path: str, folder: str, dataset: str, named: set[str]) -> Iterator[CaptionedFile]:
        """What the table says; adds to ``named`` the images that it names."""
        meant = path == self._root or _stem(Path(path).name).lower() == "metadata"
        columns = msgspec.structs.replace(self._columns, needs_path=not meant)
        try:
            for row in read_table(path, columns, self._problems):
                image = f"{path}:{row.line}" if row.name is None else row.name
                if row.name is not None and "://" not in row.name:
                    image = os.path.normpath(Path(folder, row.name))
                    named.add(image)
                    if not (path == self._root or row.image_inside or _suffix(image) not in IMAGES or _exists(image)):
                        self._problems.add("no_image", path, f"there is no {row.name}", row.line)
                yield CaptionedFile(image, dataset, row.caption, path, row.line)
        except NoColumnsError as error:
            if path == self._root:
                raise LossLoggingError(f"{path} has no column of captions; its columns are: {error}") from error
            if meant:
                self._problems.add("no_columns", path, f"has no column of captions; its columns are: {error}")
        except BinaryDataError as error:
            self._problems.add("binary", path, str(error) or "holds no text")
        except OSError as error:
            self._unreadable(path, error)

    def _pairs(self, folder: _Folder, dataset: str, named: tuple[set[str], ...]) -> Iterator[CaptionedFile]:
        """Each image with the captions beside it, then the captions without image."""
        decoder = TextDecoder()
        for image in folder.images:
            found = list(self._beside(image, folder, dataset, decoder))
            in_table = bool(named) and _is_named(os.path.normpath(image.path), named)
            if len(found) + in_table > 1:
                places = [Path(file.source or "").name for file in found] + ["a table"] * in_table
                self._problems.add("two_captions", image.path, f"has captions in {' and '.join(places)}")
            yield from found
            if not (found or in_table):
                yield CaptionedFile(image.path, dataset, None)
        yield from self._without_image(folder, dataset, decoder)
        if folder.images and any(_KOHYA_FOLDER.fullmatch(inner.name) for inner in folder.folders):
            count = f"{len(folder.images)} images" if len(folder.images) > 1 else "an image"
            self._problems.add("not_read", folder.images[0].path, f"{count} beside folders named N_name")

    def _beside(
        self, image: os.DirEntry[str], folder: _Folder, dataset: str, decoder: TextDecoder
    ) -> Iterator[CaptionedFile]:
        stem = _stem(image.name)
        for text in folder.texts.get(stem, ()):
            yield CaptionedFile(image.path, dataset, self._text(text.path, decoder), text.path)
        if (beside := folder.beside.get(stem)) and (caption := self._in_json(beside.path, decoder)) is not None:
            yield CaptionedFile(image.path, dataset, caption, beside.path)

    def _without_image(self, folder: _Folder, dataset: str, decoder: TextDecoder) -> Iterator[CaptionedFile]:
        """Captions whose image is missing, unless the folder holds nothing but captions."""
        only_captions = not (folder.images or folder.folders)
        stems = {_stem(image.name) for image in folder.images}
        for stem, texts in folder.texts.items():
            for text in () if stem in stems else texts:
                if only_captions:
                    yield CaptionedFile(text.path, dataset, self._text(text.path, decoder), text.path)
                else:
                    self._problems.add("no_image", text.path, "there is no image of this name beside it")

    def _text(self, path: str, decoder: TextDecoder) -> str | None:
        try:
            with Path(path).open("rb") as file:
                data = file.read(_USUAL_SIZE)
                if len(data) == _USUAL_SIZE:
                    data += file.read(_MOST_READ - _USUAL_SIZE)
                cut = len(data) == _MOST_READ and bool(file.read(1))
            decoded = decoder.decode(data, cut=cut)
        except OSError as error:
            self._unreadable(path, error)
            return None
        except BinaryDataError:
            self._problems.add("binary", path, "holds no text")
            return None
        if cut:
            self._problems.add("too_large", path, f"is larger than {_MOST_READ:,} bytes, of which the first were read")
        if decoded.damaged:
            self._problems.add("undecodable", path, f"holds bytes that are no {decoded.encoding}")
        elif not decoded.plain:
            mark = " with a byte order mark" if decoded.marked else ""
            self._problems.add("not_utf8", path, f"is {decoded.encoding}{mark}, not plain UTF-8")
        return decoded.text.removesuffix("\n").removesuffix("\r")

    def _in_json(self, path: str, decoder: TextDecoder) -> str | None:
        """The caption of an image in a JSON file of its own, which may also hold anything else."""
        if (text := self._text(path, decoder)) is None:
            return None
        try:
            content = decode_json(text)
        except ValueError as error:
            self._problems.add("broken_line", path, f"no JSON: {error}")
            return None
        values = (content.get(key) for key in ("caption", "text", "prompt")) if isinstance(content, dict) else ()
        return next((value for value in values if isinstance(value, str)), None)

    def _unreadable(self, path: str, error: OSError) -> None:
        self._problems.add("unreadable", path, error.strerror or str(error))


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _suffix(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return (dot + suffix).lower()


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_named(image: str, named: tuple[set[str], ...]) -> bool:
    """Whether a table names the image; kohya's leave out the suffix."""
    stem = image.rpartition(".")[0]
    return any(image in table or stem in table for table in named)
