"""LossRecorder: the hot path of training, and the one small thread behind it.

``append`` copies the figures, keeps references to the names, and returns; nothing else happens on the training thread.
The small thread wakes every quarter of a second, turns what is pending into columns in slices with pauses between them
(so that it never holds the interpreter for long), and writes a shard when it is time. Waking it for every batch would
slow fast loops.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 pyarrow imports pandas, which needs it, and at shutdown that is too late
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from loss_logging.errors import LossLoggingError
from loss_logging.records.batches import Batch, columns_of
from loss_logging.records.columns import LAST_STEP, SCHEMA, whole_step
from loss_logging.records.in_flight import FEW, hold, hold_components, hold_sized, names, numbers
from loss_logging.records.log import SHARD_ROWS
from loss_logging.support.warn import LOGGER, warn_once

if TYPE_CHECKING:
    from loss_logging.records.log import ShardSink

__all__ = ["LossRecorder", "Unwritten"]

_PLAIN = frozenset({list, tuple})
"""What holds names as they are; anything else is looked at more closely."""
_DRAIN_SECONDS = 0.25
_PAUSE_SECONDS = 0.002
_SLICE_BATCHES = 16
_MAX_PENDING_ROWS = 1_000_000
"""Past this backlog ``append`` waits for the thread: memory stays bounded and no record is lost."""
_DISK = "the disk does not take them"
_MAX_HELD_ROWS = 2_000_000
"""Rows kept in memory while the disk refuses them; past this the oldest are dropped and counted."""


class Unwritten(NamedTuple):
    """Records that are not in the log: held in memory, and why; dropped after the disk refused them for too long or
    because no column takes them."""

    held: int
    dropped: int
    reason: str = _DISK

    def sentences(self) -> list[str]:
        """What a reader of the report must know of them."""
        said = {
            f"{self.held} records are not included: {self.reason}": self.held,
            f"{self.dropped} records are lost: the disk refused them for too long, or they could not be read": (
                self.dropped
            ),
        }
        return [sentence for sentence, records in said.items() if records]


class _Flush(NamedTuple):
    """A marker in the queue: everything before it is on disk when ``then`` is called."""

    then: Callable[[Unwritten], None]
    patient: bool


class LossRecorder:
    """Collects batches from the training thread and appends them to a log.

    Args:
        log: where the records go.
        keep: applied to each batch of records: the rows that are to be written.
        flush_seconds: how old a record may get before it is on disk.
        on_written: called in the small thread after each shard with the last step that it holds.
    """

    def __init__(
        self,
        log: ShardSink,
        keep: Callable[[pa.RecordBatch], pa.RecordBatch],
        flush_seconds: float,
        on_written: Callable[[int], None],
    ) -> None:
        self._log = log
        self._keep = keep
        self._flush_seconds = flush_seconds
        self._on_written = on_written
        self._pending: deque[tuple[Any, ...] | _Flush | pa.Table] = deque()
        self.appended = 0
        self.last_step = 0
        self._drained = 0
        self._held: list[pa.RecordBatch] = []
        self._owed: list[_Flush] = []
        self._dropped = 0
        self._last_write = time.monotonic()
        self._tensor = getattr(sys.modules.get("torch"), "Tensor", None)  # who gives tensors has imported it
        self._wake = threading.Event()
        self._reason = _DISK
        self._limit = _MAX_PENDING_ROWS
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="loss_logging-recorder", daemon=True)
        self._thread.start()

    def append(
        self,
        step: int,
        losses: Any,
        paths: Collection[object],
        datasets: Collection[object] | str,
        captions: Collection[object],
        timesteps: Any,
        losses_empty: Any,
        components: Mapping[str, Any] | None,
        is_reg: Any,
        caption_dropped: Any,
        losses_rival: Any = None,
        rivals: Collection[object] | None = None,
    ) -> None:
        """Take one batch of (B,) figures and B names. The tensors are copied without synchronising their device."""
        if (  # a few samples on the CPU with nothing beside losses and timesteps: all in one function takes least time
            components is None
            and losses_empty is None
            and is_reg is None
            and caption_dropped is None
            and losses_rival is None
            and rivals is None
            and type(paths) in _PLAIN
            and (size := len(paths)) <= FEW
            and type(losses) is self._tensor
            and losses.is_cpu
            and losses.ndim == 1
            and type(captions) in _PLAIN
            and len(captions) == size
            and (type(datasets) is str or (type(datasets) in _PLAIN and len(datasets) == size))
            and (timesteps is None or (type(timesteps) is self._tensor and timesteps.is_cpu and timesteps.ndim == 1))
            and type(step) is int
            and self.last_step <= step <= LAST_STEP
            and self.appended - self._drained <= self._limit
            and len(figures := losses.tolist()) == size
            and (timesteps is None or len(times := timesteps.tolist()) == size)
        ):
            of = datasets if type(datasets) is str else tuple(datasets)
            read = None if timesteps is None else times
            self._pending.append((step, figures, tuple(paths), of, tuple(captions), read))
            self.last_step = step
            self.appended += size
        else:
            self._append_any(
                step, losses, paths, datasets, captions, timesteps, losses_empty, components, is_reg, caption_dropped,
                losses_rival, rivals,
            )  # fmt: skip

    def _append_any(
        self,
        step: int,
        losses: Any,
        paths: Collection[object],
        datasets: Collection[object] | str,
        captions: Collection[object],
        timesteps: Any,
        losses_empty: Any,
        components: Mapping[str, Any] | None,
        is_reg: Any,
        caption_dropped: Any,
        losses_rival: Any,
        rivals: Collection[object] | None,
    ) -> None:
        """All other batches, and all errors."""
        if not (is_tensor := hasattr(losses, "detach")):
            losses = numbers("per_example", losses)  # a copy already
        shape = losses.shape
        size = shape[0] if len(shape) == 1 else _not_per_example(shape)
        if not (type(paths) in _PLAIN and len(paths) == size):
            paths = names("paths", paths, size)
        if not (type(captions) in _PLAIN and len(captions) == size):
            captions = names("captions", captions, size)
        one_dataset = isinstance(datasets, str)
        if not one_dataset and not (type(datasets) in _PLAIN and len(datasets) == size):
            datasets = names("datasets", datasets, size)
        if rivals is not None or losses_rival is not None:
            rivals = _rivals(rivals, losses_rival, size)
        if (step := whole_step(step)) < self.last_step:
            _warn_of_order(step, self.last_step)
        if self.appended - self._drained > self._limit:
            self._wait_for_room()
        self._pending.append(
            (  # a Batch in all but name: the plain tuple costs a tenth
                step,
                hold(losses, size) if is_tensor else losses,
                tuple(paths) if type(paths) is list else paths,
                tuple(datasets) if type(datasets) is list else datasets,
                tuple(captions) if type(captions) is list else captions,
                None if timesteps is None else hold_sized("timesteps", timesteps, size),
                None if losses_empty is None else hold_sized("losses_empty", losses_empty, size),
                None if components is None else hold_components(components, size),
                None if is_reg is None else hold_sized("is_reg", is_reg, size),
                None if caption_dropped is None else hold_sized("caption_dropped", caption_dropped, size),
                None if losses_rival is None else hold_sized("losses_rival", losses_rival, size),
                rivals,
            )
        )
        self.last_step = step
        self.appended += size

    def append_table(self, step: int, table: pa.Table) -> None:
        """Take records that are in columns already; they get this step."""
        if (step := whole_step(step)) < self.last_step:
            _warn_of_order(step, self.last_step)
        if self.appended - self._drained > self._limit:
            self._wait_for_room()
        self._pending.append(table.set_column(0, SCHEMA.field(0), pa.array(np.full(table.num_rows, step))))
        self.last_step = step
        self.appended += table.num_rows

    def flush(self, then: Callable[[Unwritten], None], *, patient: bool = False) -> None:
        """Have everything that was appended so far written, then ``then`` called in the small thread.

        While the disk refuses records, ``then`` is called at once with their number, or, when ``patient``, once they
        are written, at the end of the run at the latest.
        """
        self._pending.append(_Flush(then, patient))
        self._wake.set()

    def close(self, timeout: float) -> Unwritten:
        """Write what is left and end the thread; returns what could not be written within ``timeout`` seconds."""
        self._closed = True
        self._limit = -1  # from here on other threads' batches are refused
        self._wake.set()
        self._thread.join(timeout)
        return self._unwritten(waiting=self.appended - self._drained)

    def _wait_for_room(self) -> None:
        if self._closed:
            raise LossLoggingError("this LossLogger is closed; make a new one")
        self._wake.set()
        while self.appended - self._drained > _MAX_PENDING_ROWS and self._thread.is_alive():
            time.sleep(_PAUSE_SECONDS)

    def _unwritten(self, waiting: int = 0) -> Unwritten:
        held = sum(batch.num_rows for batch in list(self._held)) + waiting
        return Unwritten(held, self._dropped, self._reason)

    # --- the small thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(_DRAIN_SECONDS)
            self._wake.clear()
            closing = self._closed  # read before draining: what was appended before close() is drained after this line
            self._drain()
            if closing or time.monotonic() - self._last_write >= self._flush_seconds:
                self._write()
            if closing:
                self._answer()
                return

    def _drain(self) -> None:
        while self._pending:
            batches: list[Batch] = []
            while self._pending and len(batches) < _SLICE_BATCHES and type(self._pending[0]) is tuple:
                batches.append(Batch(*self._pending.popleft()))
            if batches:
                self._convert(batches)
            elif self._pending:
                self._take(self._pending.popleft())
            time.sleep(_PAUSE_SECONDS)

    def _convert(self, batches: list[Batch]) -> None:
        try:
            self._hold_rows([columns_of(batches)])
        except Exception as error:  # noqa: BLE001 a value that no column takes must not end the thread
            if len(batches) > 1:  # only one of them has it
                for batch in batches:
                    self._convert([batch])
                return
            rows = len(batches[0].paths)
            self._drained += rows
            self._dropped += rows
            warn_once(
                f"records {type(error).__name__}",
                f"{rows} records of step {batches[0].step} cannot be logged: {type(error).__name__}: {error}. "
                "They are counted in every later report. Training goes on.",
            )

    def _take(self, entry: object) -> None:
        if isinstance(entry, _Flush):
            self._owed.append(entry)
            self._write()
            if not entry.patient:
                self._answer()
        elif isinstance(entry, pa.Table):
            self._hold_rows(entry.to_batches())

    def _hold_rows(self, batches: list[pa.RecordBatch]) -> None:
        self._drained += sum(batch.num_rows for batch in batches)
        self._held += [kept for kept in map(self._keep, batches) if kept.num_rows]
        if sum(batch.num_rows for batch in self._held) >= SHARD_ROWS:
            self._write()

    def _write(self) -> None:
        self._last_write = time.monotonic()
        if self._held:
            try:
                self._log.write(self._held)
            except OSError as error:
                self._keep_within_bounds(error)
                return
            last_step = self._held[-1]["step"][-1].as_py()
            self._held = []
            self._on_written(last_step)
        self._answer()

    def _answer(self) -> None:
        """Call those who wait for what is written now, or will not be."""
        while self._owed:
            self._owed.pop(0).then(self._unwritten())

    def _keep_within_bounds(self, error: OSError) -> None:
        self._reason = _DISK if error.errno is not None else str(error)  # what is no error of the system's is ours
        warn_once(
            "record log",
            f"cannot write records to {self._log.folder}: {error}. Training goes on; up to {_MAX_HELD_ROWS:,} records "
            "are kept in memory and written when that has passed.",
        )
        while sum(batch.num_rows for batch in self._held) > _MAX_HELD_ROWS:
            lost = self._held.pop(0).num_rows
            self._dropped += lost
            LOGGER.debug("dropped the %d oldest records held in memory", lost)


# --- errors -----------------------------------------------------------------------------------------------------


def _not_per_example(shape: Sequence[int]) -> int:
    raise ValueError(
        f"per_example has shape {tuple(shape)}; expected one loss per example, shape (B,). "
        'Compute the loss with reduction="none" and reduce it with loss_logging.per_example_loss(loss).'
    )


def _rivals(rivals: Collection[object] | None, losses: Any, size: int) -> Collection[object]:
    if rivals is None or losses is None:
        given, missing = ("losses_rival", "rivals") if rivals is None else ("rivals", "losses_rival")
        raise ValueError(f"{given} is given and {missing} is None; expected both: the losses, and the captions of them")
    return tuple(rivals) if type(rivals) is list and len(rivals) == size else names("rivals", rivals, size)


def _warn_of_order(step: int, last_step: int) -> None:
    warn_once(
        "step went back",
        f"step {step} was logged after step {last_step}. Both are kept; for a run that went back to a checkpoint, "
        "make a new LossLogger and call resume(step) before the first batch.",
    )
