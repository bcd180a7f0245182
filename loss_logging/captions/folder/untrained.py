"""Images that a trainer leaves out, or trains on other words than a caption: counted, and told once each kind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.trained_images import class_tokens
from loss_logging.captions.folder.trainer_settings import TrainerSettings

__all__ = ["ClassTokens", "NotTrained"]


class NotTrained:
    """Images that the trainer leaves out, by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, file: CaptionedFile) -> None:
        """Count one."""
        reason = file.not_trained or ""
        self._counts[reason] += 1
        self._first.setdefault(reason, file.path)

    def tell(self, problems: FolderProblems) -> None:
        """Add one problem per reason."""
        for reason, count in self._counts.items():
            images = f"{count:,} images are" if count > 1 else "an image is"
            problems.add("not_trained", self._first[reason], f"{images} not trained on: {reason}")


class ClassTokens:
    """Images without a caption in kohya's folders; kohya trains them on the words in the folder's name."""

    def __init__(self, trainer: TrainerSettings | None) -> None:
        self._trainer = trainer
        self._all: Counter[str] = Counter()
        self._without: Counter[str] = Counter()

    def count(self, file: CaptionedFile) -> str | None:
        """The text that the image is trained on; None if there is none."""
        self._all[file.dataset] += 1
        if file.source is not None or (tokens := class_tokens(file.dataset)) is None:
            return file.caption
        if self._trainer is not None and file.caption != tokens:
            return file.caption  # of a trainer without class tokens
        self._without[file.dataset] += 1
        return tokens

    def tell(self, root: Path, problems: FolderProblems) -> None:
        """Add one problem per folder."""
        for dataset, count in self._without.items():
            message = f"{count} of {self._all[dataset]} images have no caption: kohya uses {class_tokens(dataset)!r}"
            problems.add("class_tokens", str(root / dataset), message)
