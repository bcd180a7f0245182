"""The rows of a W&B run's history: in our own run, or joined to the trainer's rows in the trainer's run."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from loss_logging.support.files import whole_file
from loss_logging.support.warn import LOGGER, warn_once

__all__ = ["FLUSH_SETTING", "OwnRows", "RowNumbers", "Rows", "RunRow", "TrainersRows"]

FLUSH_SETTING = "x_transaction_log_flush_interval"
"""The interval in seconds at which W&B's process writes its rows to the run's file."""


class RunRow(NamedTuple):
    call: int  # counted from 0
    step: int
    scalars: dict[str, float]
    media: dict[str, Any]  # W&B histograms and tables


class Rows(Protocol):
    """Puts rows into a run's history."""

    run: Any

    def add(self, row: RunRow) -> None: ...
    def advance(self) -> None: ...
    def unsettled(self) -> list[int]: ...
    def close(self) -> None: ...


class _Kept(msgspec.Struct):
    """Our own run: its identifier, and a number above the numbers of all its rows."""

    id: str
    next_row: int = 0


class RowNumbers:
    """Numbers the rows of our own run across processes; the file ``path`` holds the state for the next process.

    Offline, W&B would begin each process's rows at 0, and they would collide when they are synced into one run.
    """

    BLOCK = 1000  # numbers are reserved in blocks, so that the file is not written for each row

    def __init__(self, path: Path | None, run_id: str | None) -> None:
        self._path = path
        self._run_id = run_id
        self._kept: _Kept | None = None
        self._is_new = True
        self._next = 0

    @property
    def run_id(self) -> str:
        """The identifier of the run; a new one if there is none."""
        if self._kept is None:
            found = self._read()
            self._is_new = found is None
            self._kept = found or _Kept(self._run_id or secrets.token_hex(8))
            self._next = self._kept.next_row
            self._reserve()
        return self._kept.id

    @property
    def is_new(self) -> bool:
        """Whether no earlier process had the run."""
        return self._is_new

    def begin(self, at_least: int) -> None:
        """Note that W&B has rows below the number ``at_least``."""
        self._next = max(self._next, at_least)

    def take(self) -> int:
        """The number of the next row."""
        assert self._kept is not None
        if self._next >= self._kept.next_row:
            self._reserve()
        self._next += 1
        return self._next - 1

    def _reserve(self) -> None:
        assert self._kept is not None
        self._kept.next_row = self._next + self.BLOCK
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path) as file:
                file.write(msgspec.json.encode(self._kept))
        except OSError as error:
            warn_once(
                f"run file {self._path}",
                f"{self._path} cannot be written: {error}. A restart will begin a new W&B run. Training goes on.",
            )

    def _read(self) -> _Kept | None:
        try:
            kept = None if self._path is None else msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            warn_once(f"run file {self._path}", f"{self._path} cannot be read: {error}. A new W&B run is begun.")
            return None
        return kept if kept is not None and self._run_id in (None, kept.id) else None


class _OnDisk:
    """Tracks the rows of W&B's process that are in the run's file, and so survive the end of that process.

    The process is asked for an answer from time to time. Rows that it had before one answer are in the file at the next
    answer, because it writes the file in between.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._seconds = 2.5 * float(getattr(run.settings, FLUSH_SETTING, 0) or 0)
        self._asked = time.monotonic()
        self._new: list[int] = []
        self._taken: list[int] = []

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return self._seconds > 0 and time.monotonic() - self._asked >= self._seconds

    def add(self, call: int) -> None:
        """Note that W&B's process has the row of this call."""
        self._new.append(call)

    def missing(self) -> list[int]:
        """The calls whose rows may not be in the file yet. Raises if the process has ended."""
        if self.is_due:
            self._asked = time.monotonic()
            if self._new or self._taken:
                self._run.step  # noqa: B018 waits for the answer
                self._taken, self._new = self._new, []
        return [*self._taken, *self._new]


class OwnRows:
    """Our own run: each of our rows is a row of the run."""

    def __init__(self, run: Any, prefix: str, numbers: RowNumbers) -> None:
        self.run = run
        self._prefix = prefix
        self._numbers = numbers
        self._numbers.begin(run.step)
        self._on_disk = _OnDisk(run)

    def add(self, row: RunRow) -> None:
        values = {**row.scalars, **row.media, f"{self._prefix}/step": row.step}
        self.run.log(values, step=self._numbers.take(), commit=True)
        self._on_disk.add(row.call)

    def advance(self) -> None:
        """Nothing waits."""

    def unsettled(self) -> list[int]:
        return self._on_disk.missing()

    def close(self) -> None:
        self.run.finish()


class TrainersRows:
    """The trainer's run, in which only the trainer's calls begin and end rows.

    ``commit=False`` joins the open row. A second join before the trainer's next row would overwrite the first one, a
    commit would end the trainer's row, and our own step would move its step, after which W&B drops smaller steps.
    """

    MAX_WAITING = 32  # rows that the charts may lag behind; bursts are shorter
    MAX_UNCHARTED = 10_000  # W&B cuts a longer table

    def __init__(self, run: Any, prefix: str) -> None:
        self.run = run
        self._prefix = prefix
        self._waiting: deque[RunRow] = deque()
        self._uncharted: list[RunRow] = []
        self._open: RunRow | None = None  # in the trainer's open row
        self._open_step: int | None = None  # the step of that row
        self._on_disk = _OnDisk(run)

    def add(self, row: RunRow) -> None:
        self.advance()
        if self._waiting or not self._joined(row):
            self._waiting.append(row)
        if len(self._waiting) > self.MAX_WAITING:
            self._give_up_oldest()

    def advance(self) -> None:
        if self._waiting and self._joined(self._waiting[0]):
            self._waiting.popleft()

    def unsettled(self) -> list[int]:
        waiting = [row.call for row in (*self._waiting, *self._uncharted)]
        try:
            if self._open is not None and self._on_disk.is_due:
                self._is_taken()
            return [*waiting, *([self._open.call] if self._open is not None else []), *self._on_disk.missing()]
        except self._finished:  # with all of its rows
            return waiting

    def close(self) -> None:
        """Log scalars without a row as a table, and the histograms and tables of the last report."""
        media: dict[str, Any] = {}
        try:
            self.advance()
            for row in self._waiting:
                media |= row.media
            self._log_uncharted([*self._uncharted, *self._waiting], media)
        except Exception as error:
            raise RuntimeError(
                f"{len(self._waiting) + len(self._uncharted)} rows were still waiting for the trainer to log "
                f"({type(error).__name__}: {error}); close the LossLogger before finishing the run"
            ) from error
        self._check_alive()

    @property
    def _finished(self) -> type[Exception]:
        """The exception of W&B for a write to a finished run."""
        from wandb.errors import UsageError

        return UsageError

    def _check_alive(self) -> None:
        try:
            self._is_taken()
        except self._finished:
            LOGGER.debug("the trainer has finished its run, with our rows in it")

    def _is_taken(self) -> bool:
        """Whether the trainer's open row holds one of our rows."""
        self.run.log({}, commit=False)  # raises at once if the run is finished; asking for its step blocks for 30 s
        if self.run.step == self._open_step:
            return True
        if self._open is not None:
            self._on_disk.add(self._open.call)
            self._open = None
        return False

    def _joined(self, row: RunRow) -> bool:
        """Log ``row``, unless the trainer's open row already holds one of our rows."""
        if self._is_taken():
            return False
        self.run.log({**row.scalars, **row.media, f"{self._prefix}/step": row.step}, commit=False)
        self._open, self._open_step = row, self.run.step
        return True

    def _give_up_oldest(self) -> None:
        oldest, following = self._waiting.popleft(), self._waiting.popleft()
        # Histograms and tables describe the whole run so far, so later ones replace earlier ones.
        self._waiting.appendleft(following._replace(media={**oldest.media, **following.media}))
        self._uncharted.append(oldest._replace(media={}))
        if len(self._uncharted) == self.MAX_UNCHARTED:
            self._log_uncharted(self._uncharted, {})
            self._uncharted = []

    def _log_uncharted(self, rows: Sequence[RunRow], media: dict[str, Any]) -> None:
        if any(row.scalars for row in rows):
            media = {**media, f"{self._prefix}/uncharted": _scalar_table(rows)}
        if media:
            self.run.log(media, commit=False)


def _scalar_table(rows: Sequence[RunRow]) -> Any:
    import wandb

    names = sorted({name for row in rows for name in row.scalars})
    data: list[Iterable[Any]] = [[row.step, *(row.scalars.get(name) for name in names)] for row in rows]
    return wandb.Table(columns=["step", *names], data=data)
