"""Delivery: protects training from a backend that is slow, broken or hung.

Each backend has its own daemon thread and bounded queue. An offer never blocks and never raises. Undelivered reports
and rows are known by step, and are missing in the backend's ledger.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from loss_logging.reports.report import LossReport
from loss_logging.support.warn import LOGGER, warn_once
from loss_logging.trackers.backends import BackendSpec, LoggerBackend
from loss_logging.trackers.ledger import Ledger
from loss_logging.trackers.noted import NotedBackend, Row

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["Delivery", "Dispatcher", "Undelivered"]

RETRY_DELAYS = (0.5, 2.0, 8.0)
"""Seconds between the attempts at one call. A closing backend does not wait for them."""

_IDLE_SECONDS = 0.1
_numbers = itertools.count()
"""A number for each delivery, so that two backends with one name each have their warnings."""
_MOST_LATE_ROWS = 1024


class Undelivered(msgspec.Struct, frozen=True):
    """The undelivered reports and rows of a backend, and the reason. Its ``str`` is a sentence for the user."""

    backend: str
    report_steps: list[int]
    scalar_rows: int
    reason: str

    def __str__(self) -> str:
        parts = []
        if self.report_steps:
            s = "s" if len(self.report_steps) > 1 else ""
            parts.append(f"the report{s} of step{s} {', '.join(map(str, self.report_steps))}")
        if self.scalar_rows:
            parts.append(f"{self.scalar_rows} row{'s' * (self.scalar_rows > 1)} of scalars")
        what = " and ".join(parts) + " not delivered" if parts else "not closed properly"
        return f"logger {self.backend!r}: {what}: {self.reason}"


class _Outstanding:
    """Offered rows that are not known to have arrived: queued, in flight, failed, dropped, or held by the tracker."""

    def __init__(self) -> None:
        self.report_steps: list[int] = []
        self.scalar_rows = 0

    def offered(self, row: Row) -> None:
        if row.is_report:
            self.report_steps.append(row.step)
        else:
            self.scalar_rows += 1

    def delivered(self, row: Row) -> None:
        if row.is_report:
            self.report_steps.remove(row.step)
        else:
            self.scalar_rows -= 1


class Delivery:
    """One backend behind its own daemon thread and bounded queue.

    A call that raises is repeated after each of ``retry_delays`` (seconds); after the last one its report or row counts
    as undelivered, and the next one follows. Rows in the ledger of an earlier process are not delivered again. If
    ``max_scalar_rows`` rows of scalars or ``max_reports`` reports are queued, a further one counts as undelivered at
    once. A warning reports the first error of each type.

    Args:
        backend: a backend, or the spec of one, which is built at the first write, on the delivery's thread.
        config: the configuration of the run; its folder holds the ledger.
    """

    def __init__(
        self,
        backend: LoggerBackend | BackendSpec,
        config: TrainConfig,
        *,
        max_reports: int = 32,
        max_scalar_rows: int = 2048,
        retry_delays: Sequence[float] = RETRY_DELAYS,
    ) -> None:
        self.name = backend.name
        self._number = next(_numbers)
        self._config = config
        self._tracker = NotedBackend(backend, config)
        self._room = {True: max_reports, False: max_scalar_rows}
        self._retry_delays = retry_delays
        self._changed = threading.Condition()  # guards everything below
        self._queue: deque[Row] = deque()
        self._outstanding = _Outstanding()
        self._reason = ""
        self._closing = self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=f"loss_logging {self.name}", daemon=True)
        self._thread.start()

    def write(self, report: LossReport) -> None:
        """Offer a report."""
        self._offer(Row(report.job.step, report))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Offer a row of scalars."""
        self._offer(Row(step, dict(scalars)))

    def catch_up(self, through: int) -> set[int]:
        """Offer reports and scalars that an earlier, killed process did not deliver; scalars up to step ``through``.

        Returns:
            The steps of the reports.
        """
        ledger = Ledger.of(self._config, self.name)
        if not ledger.path.exists():  # the backend has no data of this run
            return set()
        from loss_logging.trackers.missed import (
            missed_at_the_end,  # imports DuckDB, which the trainer's process should not load
        )

        lately = missed_at_the_end(self._config, ledger, through)
        rows = lately.rows(lambda step, reason: LOGGER.warning("the report of step %d: %s", step, reason))
        offered = list(itertools.islice(rows, _MOST_LATE_ROWS))
        if not offered or not ledger.note_attempt():
            return set()
        for row in offered:
            self._offer(row)
        return {row.step for row in offered if row.is_report}

    def stop(self) -> None:
        """Let the thread end once the queue is empty. Returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, timeout: float) -> Undelivered | None:
        """Deliver the queue and close the backend, for at most ``timeout`` seconds; then abandon it.

        Returns:
            The undelivered reports and rows since the start; None if all were delivered.
        """
        self.stop()
        self._thread.join(max(timeout, 0.0))
        with self._changed:
            if self._thread.is_alive() and not self._abandoned:
                self._abandoned = True
                self._reason = f"it did not return within {timeout:.3g} s"
            if not (self._reason or self._outstanding.report_steps or self._outstanding.scalar_rows):
                return None
            return Undelivered(
                self.name, list(self._outstanding.report_steps), self._outstanding.scalar_rows, self._reason
            )

    def _offer(self, row: Row) -> None:
        with self._changed:
            self._outstanding.offered(row)
            if self._closing:
                self._reason = self._reason or "it was offered after closing"
            elif sum(queued.is_report == row.is_report for queued in self._queue) >= self._room[row.is_report]:
                self._reason = self._reason or "its queue was full"
                self._warn_once("full queue", f"its queue is full; {row} and the following ones are not delivered")
            else:
                self._queue.append(row)
                self._changed.notify_all()

    def _run(self) -> None:
        while not self._abandoned:
            with self._changed:
                attention = self._tracker.needs_attention
                self._changed.wait_for(lambda: self._queue or self._closing, _IDLE_SECONDS if attention else None)
                row = self._queue.popleft() if self._queue else None
                closing = self._closing
            if row is not None:
                self._deliver(row)
            elif closing:
                self._reason = self._attempt(self._close_tracker, "closing", "it is not tried again") or self._reason
                return
            elif attention:
                self._attempt(self._tracker.idle, "what it holds back", "it is tried again")
            self._attempt(self._settle, "asking what has arrived", "it is tried again")

    def _deliver(self, row: Row) -> None:
        for attempt in range(len(self._retry_delays) + 1):
            tries_left = len(self._retry_delays) - attempt
            then = f"{tries_left} more tries follow" if tries_left else "it is not tried again"
            error = self._attempt(lambda: self._write(row), str(row), then)
            with self._changed:
                if error is None:
                    return
                if self._abandoned or not tries_left:
                    self._reason = error
                    return
                self._changed.wait_for(lambda: self._closing, self._retry_delays[attempt])

    def _write(self, row: Row) -> None:
        if not self._tracker.write(row):
            self._have_arrived([row])

    def _settle(self) -> None:
        self._have_arrived(self._tracker.settle())

    def _close_tracker(self) -> None:
        self._have_arrived(self._tracker.close())

    def _have_arrived(self, rows: list[Row]) -> None:
        with self._changed:
            for row in rows:
                self._outstanding.delivered(row)

    def _attempt(self, call: Callable[[], None], what: str, then: str) -> str | None:
        """Make the call; returns the error in words, after a single warning, or None."""
        try:
            call()
        except BaseException as error:  # noqa: BLE001 SystemExit too: an SDK that exits must not end the thread unseen
            described = f"{type(error).__name__}: {error}"
            self._warn_once(type(error).__qualname__, f"{what}: {described}; {then}")
            LOGGER.debug("logger %r: %s", self.name, what, exc_info=error)
            return described
        return None

    def _warn_once(self, kind: str, message: str) -> None:
        warn_once(
            f"logger {self._number} {kind}",
            f"logger {self.name!r}: {message}. Training goes on; this kind is not warned about again.",
        )


class Dispatcher:
    """Offers each report and row of scalars to several backends, each behind its own :class:`Delivery`.

    Example:
        >>> from loss_logging.trackers.memory import MemoryBackend
        >>> from loss_logging.runs.config import TrainConfig
        >>> import tempfile
        >>> memory = MemoryBackend()
        >>> dispatcher = Dispatcher([memory], TrainConfig(job_name="cats", save_root=tempfile.mkdtemp()))
        >>> dispatcher.write_scalars(50, {"loss_logging/loss/cats": 0.25})
        >>> dispatcher.close(timeout=10)
        []
        >>> memory.scalars
        [(50, {'loss_logging/loss/cats': 0.25})]
    """

    def __init__(self, backends: Sequence[LoggerBackend | BackendSpec], config: TrainConfig) -> None:
        self._deliveries = [Delivery(backend, config) for backend in backends]

    def write(self, report: LossReport) -> None:
        """Offer a report to every backend. Never blocks, never raises."""
        for delivery in self._deliveries:
            delivery.write(report)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Offer a row of scalars to every backend. Never blocks, never raises."""
        for delivery in self._deliveries:
            delivery.write_scalars(step, scalars)

    def catch_up(self, through: int) -> set[int]:
        """Offer reports and scalars that an earlier, killed process did not deliver; see `Delivery.catch_up`."""
        return set().union(*(delivery.catch_up(through) for delivery in self._deliveries))

    def close(self, timeout: float) -> list[Undelivered]:
        """Close all backends in parallel, within ``timeout`` seconds in total; returns the undelivered data."""
        deadline = time.monotonic() + timeout
        for delivery in self._deliveries:
            delivery.stop()
        results = [delivery.close(deadline - time.monotonic()) for delivery in self._deliveries]
        return [result for result in results if result is not None]
