"""The rows of a W&B run's history: in a run of our own, and joined to the trainer's in the trainer's."""

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
"""How often W&B's process writes what it was given to the run's file, in seconds."""


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
    """The run of our own: its identifier, and a number above that of any row that it has."""

    id: str
    next_row: int = 0


class RowNumbers:
    """Numbers the rows of a run of our own from process to process; ``path`` keeps what the next one needs to know.

    Offline, W&B would begin each process's rows at 0, and they would collide when all are synced into the one run.
    """

    BLOCK = 1000  # numbers are set aside in blocks, so that the file is not written for each row

    def __init__(self, path: Path | None, run_id: str | None) -> None:
        self._path = path
        self._run_id = run_id
        self._kept: _Kept | None = None
        self._is_new = True
        self._next = 0

    @property
    def run_id(self) -> str:
        """The identifier of the run, chosen when there is none."""
        if self._kept is None:
            found = self._read()
            self._is_new = found is None
            self._kept = found or _Kept(self._run_id or secrets.token_hex(8))
            self._next = self._kept.next_row
            self._reserve()
        return self._kept.id

    @property
    def is_new(self) -> bool:
        """Whether no process before this one had the run."""
        return self._is_new

    def begin(self, at_least: int) -> None:
        """W&B knows of rows up to there."""
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
                f"{self._path} cannot be written: {error}. After a restart a new W&B run is begun. Training goes on.",
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
    """Which of the rows that W&B's process took are in the run's file, where its death does not reach them.

    It is asked for an answer now and then. What it had taken before one answer is in the file at the next, because it
    writes the file in between.
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
        """The row of this call was handed to W&B's process."""
        self._new.append(call)

    def missing(self) -> list[int]:
        """The calls whose rows may not be in the file yet. Raises when the process is gone."""
        if self.is_due:
            self._asked = time.monotonic()
            if self._new or self._taken:
                self._run.step  # noqa: B018 waits for the answer
                self._taken, self._new = self._new, []
        return [*self._taken, *self._new]


class OwnRows:
    """A run that is ours alone: every row is one of the run's."""

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
    """The trainer's run, whose rows begin and end with the trainer's calls alone.

    ``commit=False`` joins the row that is open. A second one before the trainer has moved on would overwrite the first,
    a commit would end the trainer's row, and a step of ours would move its step, after which smaller ones are dropped.
    """

    MAX_WAITING = 32  # how far the charts may lag behind; bursts are shorter
    MAX_UNCHARTED = 10_000  # a longer table is cut by W&B

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
        except self._finished:  # with everything that was in it
            return waiting

    def close(self) -> None:
        """Log the scalars that found no row as a table, and the histograms and tables of the last report."""
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
        """What W&B raises when a finished run is written to."""
        from wandb.errors import UsageError

        return UsageError

    def _check_alive(self) -> None:
        try:
            self._is_taken()
        except self._finished:
            LOGGER.debug("the trainer has finished its run, with our rows in it")

    def _is_taken(self) -> bool:
        """Whether the trainer's open row holds one of ours."""
        self.run.log({}, commit=False)  # raises at once if the run is finished; asking for its step blocks for 30 s
        if self.run.step == self._open_step:
            return True
        if self._open is not None:
            self._on_disk.add(self._open.call)
            self._open = None
        return False

    def _joined(self, row: RunRow) -> bool:
        """Log ``row`` unless the trainer's open row holds one of ours already."""
        if self._is_taken():
            return False
        self.run.log({**row.scalars, **row.media, f"{self._prefix}/step": row.step}, commit=False)
        self._open, self._open_step = row, self.run.step
        return True

    def _give_up_oldest(self) -> None:
        oldest, following = self._waiting.popleft(), self._waiting.popleft()
        # Histograms and tables describe the whole run so far: a later row's replace an earlier one's.
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
