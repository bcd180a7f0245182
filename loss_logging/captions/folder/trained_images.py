"""TrainedImages: the captions that a trainer reads for the images of one folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import msgspec

from loss_logging.captions.caption import quote
from loss_logging.captions.folder.caption_files import CaptionFiles
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.folder_listing import Listing, stem
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.trainers import Trainer, Without

__all__ = ["TrainedImages", "class_tokens", "numbered", "reads_table", "tell_usual_suffix"]

_NUMBERED = re.compile(r"([0-9]+)(?:_(.*))?")
_CROP = re.compile(r"(.+)(?:_[^_]*){4}")


def numbered(folder: str) -> tuple[int, str] | None:
    """The number of repeats and the class tokens in the name of one of kohya's folders; None for other names.

    >>> numbered("10_sks dog"), numbered("0_off"), numbered("dogs")
    ((10, 'sks dog'), (0, 'off'), None)
    """
    match = _NUMBERED.fullmatch(folder)
    return (int(match[1]), match[2] or "") if match else None


def class_tokens(dataset: str) -> str | None:
    """The text that kohya uses for images without a caption in a folder named ``N_tokens``; None for other names.

    >>> class_tokens("img/10_sks dog"), class_tokens("dogs")
    ('sks dog', None)
    """
    found = numbered(dataset.rpartition("/")[2])
    return found[1] or None if found else None


def reads_table(trainer: Trainer, name: str, listing: Listing) -> bool:
    """Whether a trainer reads a table instead of the files beside the images of a folder."""
    texts = any(text.name.endswith(trainer.suffixes) for texts in listing.texts.values() for text in texts)
    return (trainer.tables_first or not texts) and any(fnmatch(name, pattern) for pattern in trainer.tables)


def tell_usual_suffix(trainer: Trainer, listing: Listing, problems: FolderProblems) -> str | None:
    """The suffix of a folder's caption files. If it is not the trainer's default, a problem says so once."""
    texts = [text for texts in listing.texts.values() for text in texts]
    for ending in trainer.suffixes:
        if first := next((text for text in texts if text.name.endswith(ending)), None):
            if ending != trainer.usual_suffix and not problems.counts["usual_suffix"]:
                message = f"is a {ending}, and {trainer.name} reads {trainer.usual_suffix}"
                problems.add("usual_suffix", first.path, message)
            return ending
    return None


class TrainedImages:
    """The images of one folder as a trainer reads them.

    Args:
        trainer: the trainer with its settings.
        folder: the name of the folder.
        listing: the names in the folder.
        dataset: the name of the captions' dataset.
        problems: takes unreadable files and lost text.
        in_table: whether a table has captions; a trainer that prefers tables then reads no caption files.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: str,
        listing: Listing,
        dataset: str,
        problems: FolderProblems,
        *,
        in_table: bool = False,
    ) -> None:
        self._trainer = trainer
        self._listing = listing
        self._dataset = dataset
        self._problems = problems
        self._files = CaptionFiles(problems)
        self._suffix = tell_usual_suffix(trainer, listing, problems)
        if in_table and trainer.tables_first:
            self._suffix = None
        any_captions = self._suffix is not None or in_table
        self._without = trainer.without if any_captions else trainer.without_any or trainer.without
        words = numbered(folder) if trainer.folders == "numbered" else None
        self._class_tokens = trainer.class_tokens if trainer.class_tokens is not None else words[1] if words else None

    def captions(self, image: os.DirEntry[str]) -> Iterator[CaptionedFile]:
        """The image once per caption that it is trained with; once with ``not_trained`` if it is left out."""
        for caption in self._trainer.concept_captions:
            yield self._made_up(image.path, caption)
        if self._trainer.concept_captions:
            return
        text = self._text_of(image)
        raw = None if text is None else self._files.whole(text.path)
        if text is None or raw is None:
            yield self.without(image.path, text)
            return
        if not raw and self._trainer.empty_file_fails:
            self._problems.add("empty_file", text.path, "has no byte")
        raw = raw.replace("\r\n", "\n").replace("\r", "\n")
        pieces = self._trainer.pieces(raw)
        variants = self._trainer.variants_of([piece for _, piece in pieces])
        for (line, piece), trained in zip(pieces, variants, strict=True):
            self._tell_commas(piece)
            yield CaptionedFile(image.path, self._dataset, piece, text.path, line, trained=tuple(trained))
        if not pieces:  # a blank file
            trained = [] if self._without == "fails" else self._trainer.variants("")
            yield CaptionedFile(image.path, self._dataset, "", text.path, trained=tuple(trained))
        self._tell_lost(raw, text)

    def without(self, path: str, text: os.DirEntry[str] | None = None) -> CaptionedFile:
        """An image without a caption, or with an unreadable one."""
        trainer, source = self._trainer, text and text.path
        if source is None and trainer.default_caption is not None:
            return self._made_up(path, trainer.default_caption)
        file = CaptionedFile(path, self._dataset, None, source)
        if source is None and self._without == "skipped":
            return msgspec.structs.replace(file, not_trained=f"{trainer.name} leaves out images without a caption")
        if source is None and self._without == "class_tokens" and self._class_tokens is not None:
            return self._made_up(path, self._class_tokens)
        if source is None and self._without == "file_name":
            return self._made_up(path, Path(path).stem.replace("_", trainer.file_name_blank))
        nothing: tuple[Without, ...] = ("fails", "skipped")
        trained = () if self._without in nothing else tuple(trainer.variants(""))
        return msgspec.structs.replace(file, trained=trained)

    def _made_up(self, path: str, caption: str) -> CaptionedFile:
        return CaptionedFile(path, self._dataset, caption, trained=tuple(self._trainer.variants(caption)))

    def leaves_out(self, name: str, folder: str) -> bool:
        """Whether the trainer reads an image in a folder as a mask or a control image."""
        return stem(name).endswith(self._trainer.left_out or ("/",)) or folder in self._trainer.left_out_folders

    def _text_of(self, image: os.DirEntry[str]) -> os.DirEntry[str] | None:
        """The file of the image's caption, whose name matches in upper and lower case."""
        names = [stem(image.name)]
        if self._trainer.crops and (match := _CROP.fullmatch(names[0])):
            names.append(match[1])
        if self._suffix is None:
            return None
        candidates = (text for name in names for text in self._listing.texts.get(name, ()))
        return next((text for text in candidates if text.name in {f"{name}{self._suffix}" for name in names}), None)

    def _tell_commas(self, caption: str) -> None:
        """Note once that the trainer doubles spaces after commas, and splits numbers."""
        written = caption.replace(",", self._trainer.comma)
        if (
            ", " not in caption
            or written == caption
            or any(self._trainer.name in note for note in self._problems.notes)
        ):
            return
        note = (
            f"{self._trainer.name} writes {self._trainer.comma!r} for each comma: {quote(caption)} is {quote(written)}"
        )
        self._problems.notes.append(f"{note}. Write commas without a space after them to avoid this.")

    def _tell_lost(self, raw: str, text: os.DirEntry[str]) -> None:
        if self._trainer.lines == "first" and (rest := raw.partition("\n")[2].strip()):
            number = raw.count("\n", 0, raw.index(rest, raw.index("\n"))) + 1
            message = f"only its first line is read; {rest.count(chr(10)) + 1} more lost"
            self._problems.add("lines_lost", text.path, message, number)
