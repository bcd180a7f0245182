"""What is wrong with the files of a captioned folder, as opposed to what their captions say."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from loss_logging.report import Severity

__all__ = ["PROBLEMS", "FolderProblem", "FolderProblems", "ProblemKind"]

ProblemKind = Literal[
    "unreadable",
    "binary",
    "undecodable",
    "broken_line",
    "no_columns",
    "encoding",
    "too_large",
    "no_image",
    "link_loop",
    "not_read",
    "two_captions",
]

PROBLEMS: dict[ProblemKind, tuple[Severity, str]] = {
    "unreadable": ("error", "A file or folder cannot be opened or read; check its rights, the disk, or the link."),
    "binary": ("error", "A caption file holds no text; write the caption into it again."),
    "undecodable": ("error", "Bytes that are text in no encoding; write the caption again as UTF-8."),
    "broken_line": ("error", "A line of a metadata file cannot be read; correct it, its image has no caption."),
    "no_columns": ("error", "A metadata file has no column of file names and captions; name its columns."),
    "encoding": (
        "warning",
        "A file is not plain UTF-8, which trainers expect; save it as UTF-8 without byte order mark.",
    ),
    "too_large": ("warning", "A caption file is so large that only its start was read; no model reads more."),
    "no_image": (
        "warning",
        "A caption whose image is not there is never trained on; add the image or correct the name.",
    ),
    "link_loop": ("warning", "A link leads to a folder that was read already; remove it."),
    "not_read": ("info", "kohya reads only the images in the folders named N_name, not those beside them; move them."),
    "two_captions": (
        "info",
        "An image has captions in several places; the trainer reads one of them: remove the other.",
    ),
}
"""By kind: how grave it is, and what it means. The gravest first."""


class FolderProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a file or folder; ``line`` counts from 1."""

    kind: ProblemKind
    path: str
    message: str
    line: int | None = None

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return PROBLEMS[self.kind][0]


class FolderProblems:
    """Collects problems: counts all, and keeps the first ``keep`` of each kind.

    Example:
        >>> problems = FolderProblems()
        >>> problems.add("binary", "cats/1.txt", "holds no text")
        >>> problems.counts["binary"], problems.kept[0].severity
        (1, 'error')
    """

    def __init__(self, keep: int = 1_000) -> None:
        self.counts: Counter[ProblemKind] = Counter()
        self.kept: list[FolderProblem] = []
        self._keep = keep

    def add(self, kind: ProblemKind, path: str, message: str, line: int | None = None) -> None:
        """Note a problem."""
        self.counts[kind] += 1
        if self.counts[kind] <= self._keep:
            self.kept.append(FolderProblem(kind, path, message, line))
