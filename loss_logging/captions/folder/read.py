"""Reads the images and captions of a folder in the layouts of trainers."""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from loss_logging.captions.caption import quote
from loss_logging.captions.folder.caption_files import CaptionFiles
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.folder_listing import Listing, is_companion, stem, suffix
from loss_logging.captions.folder.image_suffixes import IMAGES, TEXTS
from loss_logging.captions.folder.imagefolder import Imagefolder
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.table_columns import Columns
from loss_logging.captions.folder.table_reader import ReadTable, TableReader
from loss_logging.captions.folder.tables import TABLES
from loss_logging.captions.folder.trained_images import (
    TrainedImages,
    class_tokens,
    numbered,
    reads_table,
    tell_usual_suffix,
)
from loss_logging.captions.folder.trainer_settings import TrainerSettings, as_settings
from loss_logging.captions.trainers import TRAINERS, Trainer
from loss_logging.errors import LossLoggingError

__all__ = ["CaptionedFile", "class_tokens", "read_captioned_folder"]

_SEVERAL_LINES = (
    "Some captions have several lines: kohya reads the first line, SimpleTuner and OneTrainer read each line as a "
    "caption, ai-toolkit, musubi and diffusion-pipe read all lines as one. Name your trainer with --trainer."
)
_SHARD = re.compile(r"\d+")


def read_captioned_folder(
    path: str | os.PathLike[str],
    *,
    problems: FolderProblems | None = None,
    path_column: str | None = None,
    caption_column: str | None = None,
    trainer: str | Trainer | TrainerSettings | None = None,
) -> Iterator[CaptionedFile]:
    """Read images and captions folder by folder, each folder in the order of the names.

    It understands, in any mixture and depth: images and videos with a ``.txt``, ``.caption`` or ``.json`` beside them
    (for trainers), ``metadata.jsonl``, ``.csv`` and ``.parquet`` (Hugging Face's imagefolder), other
    tables with a column of file names and one of captions, kohya's ``meta_cap.json``, and folders of captions alone.
    Hidden files are left out. Links to folders are followed, and each folder is read once.

    An image with several captions is yielded once per caption, an image without a caption once, with None. Memory
    grows with the names in one folder and in the tables, not with the captions.

    Args:
        path: a folder, or a single caption file, image or table.
        problems: collects files that cannot be read or that a trainer would miss; these raise nothing.
        path_column: the column of file names in tables; guessed when None.
        caption_column: the column of captions in tables; guessed when None.
        trainer: read as this trainer does, by its name or its settings, and fill ``trained`` and ``not_trained``. When
            None, read the files that any trainer reads.

    Raises:
        LossLoggingError: ``path`` does not exist, or is a file of another kind or without captions.
        ConfigError: ``trainer`` is the name of no known trainer.

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
    settings = None if trainer is None else as_settings(trainer)
    columns = Columns(path_column, caption_column)
    reader = _Reader(root, FolderProblems() if problems is None else problems, columns, settings)
    if Path(root).is_dir():
        return reader.read_folders()
    if not Path(root).exists():
        raise LossLoggingError(f"{root} does not exist")
    return reader.read_file()


def _is_numbered(folder: os.DirEntry[str]) -> bool:
    return class_tokens(folder.name) is not None


class _Reader:
    """Reads one folder or one file, and notes the problems."""

    def __init__(
        self, root: str, problems: FolderProblems, columns: Columns, settings: TrainerSettings | None = None
    ) -> None:
        self._root = root
        self._problems = problems
        self._tables = TableReader(root, columns, problems)
        self._settings = settings
        self._any_numbered = False

    def read_folders(self) -> Iterator[CaptionedFile]:
        visited: set[tuple[int, int]] = set()
        imagefolder = Imagefolder(self._problems)
        without = 0
        # With each folder, the tables above it.
        waiting: list[tuple[str, str, tuple[ReadTable, ...]]] = [(self._root, "", ())]
        while waiting:
            path, relative, tables = waiting.pop()
            if (listing := self._list(path, visited)) is None:
                continue
            if self._settings is None or self._settings.trainer.name == "diffusers":
                imagefolder.see(relative, listing)
            known = list(tables)
            for file in self._folder(path, relative, listing, known):
                without += file.caption is None and file.source is None
                yield file
            self._tell_unread(listing)
            prefix = f"{relative}/" if relative else ""
            waiting.extend((entry.path, prefix + entry.name, tuple(known)) for entry in reversed(listing.folders))
        imagefolder.tell()
        for path, columns in self._tables.not_understood if without else ():
            self._problems.add("not_understood", path, f"is no known table of captions; it has: {columns}")

    def _folder(self, path: str, relative: str, listing: Listing, tables: list[ReadTable]) -> Iterator[CaptionedFile]:
        """The images of one folder, from its own tables, the tables above it, and its caption files."""
        dataset = self._dataset(relative)
        trainer = self._settings.of(path) if self._settings else None
        if trainer is not None and (reason := self._not_read(trainer, path, listing)):
            yield from (CaptionedFile(image.path, dataset, None, not_trained=reason) for image in listing.images)
            return
        for entry in listing.tables:
            archive = listing.archives.pop(stem(entry.name), None)
            if trainer is None or (reads_table(trainer, entry.name, listing) and not self._any_numbered):
                table = ReadTable(entry.name, defaultdict(set))
                yield from self._tables.read(entry.path, path, dataset, table, tables, archive, trainer)
                if table.captions:
                    tables.append(table)
        name = relative.rpartition("/")[2] or Path(self._root).resolve().name
        if trainer is not None:
            images = TrainedImages(trainer, name, listing, dataset, self._problems, in_table=bool(tables))
            yield from self._trained(images, listing, relative, tables)
        else:
            yield from self._pairs(listing, relative, dataset, tables, name)

    def _not_read(self, trainer: Trainer, path: str, listing: Listing) -> str | None:
        """The reason why a trainer does not read a folder; None if it does."""
        assert self._settings is not None
        below = self._settings.below(path, self._root)
        if below is None:
            return f"{trainer.name}'s configuration does not name its folder"
        if not below:
            names = [folder.name for folder in listing.folders if trainer.folders == "numbered"]
            self._any_numbered = any(map(numbered, names))
        if trainer.folders == "all" or not (below or self._any_numbered):
            return None
        if trainer.folders == "top":
            return f"{trainer.name} reads no folders inside another"
        found = numbered(below) if self._any_numbered and os.sep not in below else None
        return None if found is not None and found[0] > 0 else "kohya reads only folders named N_name, not those inside"

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
        """The root as a table, or as an image or caption file with its counterpart."""
        path = Path(self._root)
        ending = path.suffix.lower()
        trainer = self._settings.of(str(path.parent)) if self._settings else None
        if ending in TABLES:
            dataset = path.absolute().parent.name if path.stem.lower() == "metadata" else path.stem
            table = ReadTable(path.name, defaultdict(set))
            yield from self._tables.read(str(path), str(path.parent), dataset, table, trainer=trainer)
        elif ending in IMAGES or ending in TEXTS:
            if (listing := self._list(str(path.parent), set())) is not None:
                name, only = path.absolute().parent.name, listing.only(path.stem)
                if trainer is None:
                    yield from self._pairs(only, "", name, [], name)
                else:
                    yield from self._trained(TrainedImages(trainer, name, only, name, self._problems), only, "", [])
        else:
            allowed = ", ".join(sorted({*TABLES, *TEXTS}))
            raise LossLoggingError(f"{path} is no caption file; allowed: a folder, an image, or a file with {allowed}")

    def _trained(
        self, images: TrainedImages, listing: Listing, relative: str, tables: list[ReadTable]
    ) -> Iterator[CaptionedFile]:
        """Each image as the trainer reads it, without the images of tables."""
        companions = []
        folder = relative.rpartition("/")[2]
        for image in listing.images:
            key = self._tables.names.key(image.path) if tables or self._tables.companions else ""
            if key in self._tables.companions or images.leaves_out(image.name, folder):
                companions.append(image)
            elif not any(key in table.captions for table in tables):
                yield from images.captions(image)
        self._tell_companions(companions)

    def _pairs(
        self, listing: Listing, relative: str, dataset: str, tables: list[ReadTable], name: str
    ) -> Iterator[CaptionedFile]:
        """Each image with the captions beside it, then the captions without an image."""
        files, stems, companions = CaptionFiles(self._problems), listing.stems(), []
        if first_line := class_tokens(name) is not None:  # what kohya reads in its folders
            tell_usual_suffix(TRAINERS["kohya"], listing, self._problems)
        for image in listing.images:
            key = self._tables.names.key(image.path) if tables or self._tables.companions else ""
            told = [table for table in tables if key in table.captions]
            found = list(self._beside(image, listing, dataset, files))
            if not first_line:
                self._tell_lines(found)
            self._tell_several(image, found, told)
            same = {caption for table in told for caption in table.captions[key]}
            for file in found:
                if hash(file.caption) not in same:
                    yield self._first_line(file) if first_line else file
            if found or told:
                continue
            if self._goes_with_another(image, key, relative, stems):
                companions.append(image)
            else:
                yield CaptionedFile(image.path, dataset, None)
        self._tell_companions(companions)
        yield from self._without_image(listing, dataset, files, stems)
        if listing.images and any(map(_is_numbered, listing.folders)):
            count = f"{len(listing.images)} images" if len(listing.images) > 1 else "an image"
            message = f"{count} beside folders named N_name, which kohya does not read"
            self._problems.add("not_read", listing.images[0].path, message)

    def _goes_with_another(self, image: os.DirEntry[str], key: str, relative: str, stems: set[str]) -> bool:
        return key in self._tables.companions or is_companion(image.name, relative, stems)

    def _tell_companions(self, companions: list[os.DirEntry[str]]) -> None:
        if companions:
            count = f"{len(companions)} images" if len(companions) > 1 else "an image"
            self._problems.add("left_out", companions[0].path, f"{count} of masks, controls or previews")

    def _tell_several(self, image: os.DirEntry[str], found: list[CaptionedFile], told: list[ReadTable]) -> None:
        """Note that an image has different captions in several places."""
        if len(found) + len(told) < 2:
            return
        places = dict.fromkeys(Path(file.source or "").name for file in found)
        key = self._tables.names.key(image.path) if told else ""
        captions = {hash(file.caption) for file in found}.union(*(table.captions[key] for table in told))
        if len(captions) > 1 and len(places) + bool(told) > 1:
            names = [*places, *(table.name for table in told[:1])]
            self._problems.add("two_captions", image.path, f"has captions in {' and '.join(names)}")

    def _beside(
        self, image: os.DirEntry[str], listing: Listing, dataset: str, files: CaptionFiles
    ) -> Iterator[CaptionedFile]:
        """The captions in the files with the image's name, each text once."""
        name, seen = stem(image.name), set()
        texts = ((text, files.text(text.path)) for text in listing.texts.get(name, ()))
        beside = listing.beside.get(name)
        in_json = ((beside, caption) for caption in files.in_json(beside.path)) if beside else ()
        told: os.DirEntry[str] | None = None
        for entry, caption in itertools.chain(texts, in_json):
            if caption is None or caption not in seen:
                seen.add(caption)
                if entry is not told:
                    self._tell_suffix(entry)
                told = entry
                yield CaptionedFile(image.path, dataset, caption, entry.path)

    def _tell_suffix(self, entry: os.DirEntry[str]) -> None:
        """Note a caption file that no trainer reads."""
        ending = suffix(entry.name)
        if ending == ".json":
            self._problems.add("no_trainer_reads_json", entry.path, "holds a caption")
        elif not entry.name.endswith(ending):
            self._problems.add("suffix_in_capitals", entry.path, f"ends in {entry.name[-len(ending) :]}")

    def _tell_lines(self, files: list[CaptionedFile]) -> None:
        """Note once that trainers differ in their reading of several lines."""
        if _SEVERAL_LINES in self._problems.notes:
            return
        if any(file.source is not None and "\n" in (file.caption or "").strip() for file in files):
            self._problems.notes.append(_SEVERAL_LINES)

    def _without_image(
        self, listing: Listing, dataset: str, files: CaptionFiles, stems: set[str]
    ) -> Iterator[CaptionedFile]:
        """Captions without an image, unless the folder holds only captions."""
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
            self._problems.add("archive", archive.path, "is an archive, and its captions are not checked")
        for image in listing.no_trainer_reads:
            self._problems.add("unknown_suffix", image.path, f"no trainer reads {suffix(image.name)}")

    def _unreadable(self, path: str, error: OSError) -> None:
        self._problems.add("unreadable", path, error.strerror or str(error))

    def _first_line(self, file: CaptionedFile) -> CaptionedFile:
        """In one of kohya's folders: the first line of a text file."""
        text = file.caption
        if text is None or "\n" not in text or not (file.source or "").lower().endswith(TEXTS):
            return file
        first, _, rest = text.partition("\n")
        if rest.strip():
            message = f"kohya reads its first line, and loses {quote(rest)}"
            self._problems.add("lines_lost", file.source or "", message, 2)
        return msgspec.structs.replace(file, caption=first, line=1)
