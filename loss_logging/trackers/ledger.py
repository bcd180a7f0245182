"""Ledger: a file with all deliveries to one backend, so that no later process repeats or misses one.

Each report and each row of scalars adds one short line once it is known to have arrived. A line without a line end,
which a killed process leaves, does not count. The file is not synced: a power cut may cost the last lines, and their
reports and rows are delivered again.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from loss_logging.support.warn import warn_once

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig
    from loss_logging.trackers.backends import Backend

__all__ = ["Ledger", "allow_again", "forget", "note_resumed"]

_LINE = re.compile(rb"(report|scalars|resumed|hidden|kept|again|tried) (-?\d{1,18})\n")
_BEFORE_ALL = -1


def forget(config: TrainConfig) -> None:
    """Delete all ledgers of the run, which begins anew."""
    shutil.rmtree(config.paths.delivered, ignore_errors=True)


def note_resumed(config: TrainConfig, step: int) -> None:
    """Note that the run continues after ``step``; each backend removes its data of later steps, if it can."""
    for path in config.paths.delivered.glob("*.ledger"):
        Ledger(path).resumed(step)


def allow_again(config: TrainConfig) -> None:
    """Note that delivered steps may come again, in addition: another evaluation of the same name follows."""
    for path in config.paths.delivered.glob("*.ledger"):
        Ledger(path).allow_again()


class Ledger:
    """The ledger at ``path``, which need not exist. One process appends at a time; errors give a warning.

    Attributes:
        reports: steps of the reports that the backend has.
        scalars: steps of the rows of scalars that the backend has.
        resumed_from: the steps after which the run was resumed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "tensorboard.ledger")
        >>> Ledger(path).add_report(250)
        >>> Ledger(path).reports
        {250}
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports: set[int] = set()
        self.scalars: set[int] = set()
        self.resumed_from: set[int] = set()
        self._again: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
        self._forget_after: int | None = None
        self._tried: int | None = None
        for kind, step in _LINE.findall(self._read()):
            self._replay(kind.decode(), int(step))
        self._known = self.reports - self._again[0], self.scalars - self._again[1]

    @classmethod
    def of(cls, config: TrainConfig, backend: str) -> Ledger:
        """The ledger of the backends with that name; two backends with one name share it."""
        return cls(config.paths.delivered / f"{quote(backend, safe=' ')[:200]}.ledger")

    def is_missing(self, step: int, *, is_report: bool) -> bool:
        """Whether the backend lacks a report or row, or will lack it after it has removed later steps."""
        forgotten = self._forget_after is not None and step > self._forget_after
        return forgotten or step not in (self.reports if is_report else self.scalars)

    @property
    def last(self) -> int:
        """The last step of the data that the backend has and keeps; -1 if there are none."""
        steps = self.reports | self.scalars
        return max((s for s in steps if self._forget_after is None or s <= self._forget_after), default=-1)

    def had_before(self, step: int, *, is_report: bool) -> bool:
        """Whether the backend had a report or row when this ledger was read, so that it must not be written again."""
        return step in self._known[0 if is_report else 1]

    def add_report(self, step: int) -> None:
        """Note that the report of ``step`` has arrived."""
        self._append("report", step)

    def add_scalars(self, step: int) -> None:
        """Note that the row of scalars of ``step`` has arrived."""
        self._append("scalars", step)

    def resumed(self, step: int) -> None:
        """Note that the run continues after ``step``."""
        self._append("resumed", step)

    def allow_again(self) -> None:
        """Note that the data that the backend has may come again."""
        self._append("again", 0)

    def note_attempt(self) -> bool:
        """Note an attempt at the data after `last`; False if there was one before, and no data have arrived since.

        If a backend's call ends the process, each new process that starts with that call would end, too.
        """
        if self._tried == self.last:
            return False
        return self._append("tried", self.last)

    def begin(self, backend: Backend) -> None:
        """Before the first write of a process: let ``backend`` remove data of later steps (``forget_after``).

        A backend without a ledger is at the beginning of a run, and removes the data of an earlier run. The ledger
        notes this first; if it cannot, no data are removed, or each restart would remove them again.
        """
        if not self.path.exists() and not self._append("resumed", _BEFORE_ALL):
            return
        if (step := self._forget_after) is None:
            return
        self._append("hidden" if backend.forget_after(step) else "kept", step)
        self._known = (self.reports & self._known[0], self.scalars & self._known[1])

    def _replay(self, kind: str, step: int) -> None:
        if kind == "report":
            self.reports.add(step)
        elif kind == "scalars":
            self.scalars.add(step)
        elif kind == "tried":
            self._tried = step
        elif kind == "again":
            self._again = frozenset(self.reports), frozenset(self.scalars)
        elif kind == "resumed":
            self.resumed_from = {s for s in self.resumed_from if s < step} | ({step} if step > 0 else set())
            self._forget_after = step if self._forget_after is None else min(step, self._forget_after)
        else:
            if kind == "hidden":
                self.reports = {s for s in self.reports if s <= step}
                self.scalars = {s for s in self.scalars if s <= step}
            self._forget_after = None

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            self._warn(error)
            return b""

    def _append(self, kind: str, step: int) -> bool:
        self._replay(kind, step)
        line = f"{kind} {step}\n".encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(self.path, flags, 0o666), "r+b", buffering=0) as file:
                _cut_torn_line(file)
                if file.write(line) != len(line):
                    raise OSError(f"only a part of {line!r} was written")
        except OSError as error:
            self._warn(error)
            return False
        return True

    def _warn(self, error: OSError) -> None:
        warn_once(
            f"ledger {self.path}",
            f"{self.path}: cannot note deliveries: {error}. A restart or loss-logging push may deliver the same data "
            "a second time. Training goes on.",
        )


def _cut_torn_line(file: IO[bytes]) -> None:
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
