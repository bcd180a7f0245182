"""What is wrong with the files of a captioned folder, as opposed to what their captions say."""

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
    "unreadable": ("error", "Check the rights, the disk, or where the link leads."),
    "binary": ("error", "Write the caption into it again."),
    "undecodable": ("error", "Write the caption again, as UTF-8."),
    "broken_line": ("error", "Correct it; until then its image has no caption."),
    "no_columns": ("error", "Say which columns hold the file names and the captions."),
    "not_repaired": ("error", "Nothing was changed; check the rights and the disk."),
    "empty_file": ("error", "Write a caption into it, or take it out: kohya stops at it."),
    "metadata_not_read": ("warning", "Give the folder another shape, or name the files in data_files."),
    "not_trained": ("warning", "They take no part in the training: caption them, or take them out."),
    "lines_lost": ("warning", "Write the caption in one line."),
    "suffix_in_capitals": ("warning", "On Linux no trainer finds it: write the suffix in small letters."),
    "no_trainer_reads_json": ("warning", "Write it into a .txt: trainers read no JSON beside an image."),
    "not_utf8": ("warning", "Save it as UTF-8 without byte order mark, which is what trainers read."),
    "too_large": ("warning", "No model reads so much; write a caption."),
    "not_understood": ("warning", "Where it holds captions, say which columns hold them and the file names."),
    "archive": ("warning", "Unpack it to have them checked."),
    "unknown_suffix": ("warning", "Save it as .png, .jpg or .webp, or take it out."),
    "no_image": ("warning", "It is never trained on; add the image or correct the name."),
    "link_loop": ("warning", "Remove the link."),
    "not_read": ("info", "Move the images, or take them out."),
    "several_columns": ("info", "Say which column it is: --caption-column."),
    "usual_suffix": ("info", "Tell it so, or it trains without them: --caption_extension."),
    "left_out": ("info", "They have no captions of their own."),
    "two_captions": ("info", "A trainer reads one of them; remove the others."),
    "class_tokens": ("info", "Write captions where that says too little."),
}
"""By kind: how grave it is, and what to do about it. The gravest first."""


class FolderProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a file or folder; ``line`` counts from 1.

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
        """What it is and what to do about it."""
        return f"{self.message[:1].upper()}{self.message[1:]}. {PROBLEMS[self.kind][1]}"


class FolderProblems:
    """Collects problems: counts all, and keeps the first ``keep`` of each kind.

    Those of which ``ignores`` says so, by kind and path, are left out. ``unread`` counts, by suffix, the files that are
    neither images nor captions. ``notes`` are sentences about the folder as a whole.

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
    """What a folder holds that is not read, for the end of a sentence; nothing where it is empty.

    >>> problems = FolderProblems()
    >>> problems.unread.update([".tar", ".tar", ""])
    >>> there_is(problems)
    '; there are: 2 .tar, 1 without suffix'
    """
    counts = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in problems.unread.most_common(8))
    return f"; there are: {counts}" if counts else ""
