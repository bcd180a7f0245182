"""Problems with the files of a captioned folder, as opposed to the text of their captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

import msgspec

from loss_logging.captions.reason import Severity

__all__ = ["PROBLEMS", "FolderProblem", "FolderProblems", "ProblemKind", "there_is"]

ProblemKind = Literal[
    "unreadable",
    "binary",
    "undecodable",
    "broken_line",
    "no_columns",
    "not_utf8",
    "too_large",
    "no_image",
    "link_loop",
    "not_read",
    "two_captions",
    "class_tokens",
    "not_repaired",
    "not_understood",
    "archive",
    "unknown_suffix",
    "left_out",
    "nothing_read",
    "not_trained",
    "empty_file",
    "lines_lost",
    "several_columns",
    "suffix_in_capitals",
    "no_trainer_reads_json",
    "usual_suffix",
    "metadata_not_read",
]

PROBLEMS: dict[ProblemKind, tuple[Severity, str]] = {
    "nothing_read": ("error", "Name a folder of captioned images, or a table of captions."),
    "unreadable": ("error", "Check the permissions, the disk, or the target of the link."),
    "binary": ("error", "Write the caption into it again."),
    "undecodable": ("error", "Write the caption again, as UTF-8."),
    "broken_line": ("error", "Correct it; until then its image has no caption."),
    "no_columns": ("error", "Say which columns hold the file names and the captions."),
    "not_repaired": ("error", "The file is unchanged; check the permissions and the disk."),
    "empty_file": ("error", "Write a caption into it, or remove it: kohya stops at an empty file."),
    "metadata_not_read": ("warning", "Rename or move the files, or name them in data_files."),
    "not_trained": ("warning", "Caption or move these images, or remove them."),
    "lines_lost": ("warning", "Write the caption in one line."),
    "suffix_in_capitals": ("warning", "On Linux no trainer finds it: write the suffix in lower case."),
    "no_trainer_reads_json": ("warning", "Write the caption into a .txt file: trainers read no JSON beside an image."),
    "not_utf8": ("warning", "Save it as UTF-8 without a byte order mark, as trainers expect."),
    "too_large": ("warning", "No model reads so much text; write a caption."),
    "not_understood": ("warning", "If it holds captions, say which columns hold the file names and the captions."),
    "archive": ("warning", "Unpack it to have them checked."),
    "unknown_suffix": ("warning", "Save it as .png, .jpg or .webp, or remove it."),
    "no_image": ("warning", "No trainer uses it; add the image or correct the name."),
    "link_loop": ("warning", "Remove the link."),
    "not_read": ("info", "Move the images to another folder, or remove them."),
    "several_columns": ("info", "Name the right column with --caption-column."),
    "usual_suffix": ("info", "Set the trainer's --caption_extension, or it trains without these captions."),
    "left_out": ("info", "They need no captions of their own."),
    "two_captions": ("info", "A trainer reads one of them; remove the others."),
    "class_tokens": ("info", "Write captions if these words say too little."),
}
"""By kind: the severity, and the advice to the user. Highest severity first."""


class FolderProblem(msgspec.Struct, frozen=True):
    """One problem with a file or folder; ``line`` counts from 1.

    >>> FolderProblem("binary", "1.txt", "holds no text").sentence
    'Holds no text. Write the caption into it again.'
    """

    kind: ProblemKind
    path: str
    message: str
    line: int | None = None

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return PROBLEMS[self.kind][0]

    @property
    def sentence(self) -> str:
        """The problem and the advice, as sentences."""
        return f"{self.message[:1].upper()}{self.message[1:]}. {PROBLEMS[self.kind][1]}"


class FolderProblems:
    """Collects problems: counts all, and keeps the first ``keep`` of each kind.

    ``ignores`` takes kind and path of a problem and is true for a problem to leave out. ``unread`` counts, by suffix,
    the files that are neither images nor captions. ``notes`` are sentences about the folder as a whole.

    Example:
        >>> problems = FolderProblems()
        >>> problems.add("binary", "cats/1.txt", "holds no text")
        >>> problems.counts["binary"], problems.kept[0].severity
        (1, 'error')
    """

    def __init__(self, keep: int = 1_000, ignores: Callable[[ProblemKind, str], bool] | None = None) -> None:
        self.counts: Counter[ProblemKind] = Counter()
        self.unread: Counter[str] = Counter()
        self.notes: list[str] = []
        self.kept: list[FolderProblem] = []
        self._keep = keep
        self._ignores = ignores

    def add(self, kind: ProblemKind, path: str, message: str, line: int | None = None) -> None:
        """Note a problem."""
        if self._ignores is not None and self._ignores(kind, path):
            return
        self.counts[kind] += 1
        if self.counts[kind] <= self._keep:
            self.kept.append(FolderProblem(kind, path, message, line))


def there_is(problems: FolderProblems) -> str:
    """A list of the unread files of a folder, for the end of a sentence; "" if there are none.

    >>> problems = FolderProblems()
    >>> problems.unread.update([".tar", ".tar", ""])
    >>> there_is(problems)
    '; there are: 2 .tar, 1 without suffix'
    """
    counts = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in problems.unread.most_common(8))
    return f"; there are: {counts}" if counts else ""
