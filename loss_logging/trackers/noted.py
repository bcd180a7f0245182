"""NotedBackend: a backend with its ledger. It writes only rows that the ledger lacks, and notes written rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from loss_logging.reports.report import LossReport
from loss_logging.trackers.backends import Backend, BackendSpec, LoggerBackend, build_backend, completed
from loss_logging.trackers.ledger import Ledger

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["NotedBackend", "Row"]


class Row(NamedTuple):
    """A report, or the scalars of a step between save steps."""

    step: int
    payload: LossReport | dict[str, float]

    @property
    def is_report(self) -> bool:
        return isinstance(self.payload, LossReport)

    def __str__(self) -> str:
        return f"the {'report' if self.is_report else 'scalars'} of step {self.step}"


class NotedBackend:
    """Writes rows through a backend, all from one thread, and notes the rows that have arrived.

    Args:
        backend: a backend, or the spec of one, which is built at the first write.
        config: the configuration of the run; its folder holds the ledger.
        prepare: called with the backend and its ledger before the first write.
    """

    def __init__(
        self,
        backend: LoggerBackend | BackendSpec,
        config: TrainConfig,
        prepare: Callable[[Backend, Ledger], None] = lambda backend, ledger: ledger.begin(backend),
    ) -> None:
        self.name = backend.name
        self._given = backend
        self._config = config
        self._prepare = prepare
        self._backend = None if isinstance(backend, BackendSpec) else completed(backend)
        self._ledger: Ledger | None = None
        self._calls = 0
        self._unsettled: dict[int, Row] = {}  # by the number of the call that wrote it

    @property
    def needs_attention(self) -> bool:
        """Whether the backend needs `idle` while there are no rows to write."""
        return (self._backend is not None and self._backend.idles) or bool(self._unsettled)

    def write(self, row: Row) -> bool:
        """Write ``row``; returns False if the backend has it already. Exceptions of the backend pass through."""
        backend, ledger = self._open()
        if ledger.had_before(row.step, is_report=row.is_report):
            return False
        if isinstance(row.payload, LossReport):
            backend.write(row.payload)
        else:
            backend.write_scalars(row.step, row.payload)
        self._unsettled[self._calls] = row
        self._calls += 1
        return True

    def idle(self) -> None:
        """Call the backend's ``idle`` while there are no rows to write."""
        if self._backend is not None:
            self._backend.idle()

    def settle(self) -> list[Row]:
        """The rows that are newly known to have arrived, each once; the ledger has them."""
        if not self._unsettled:
            return []
        assert self._backend is not None
        waiting = set(self._backend.unsettled())
        return self._note([call for call in self._unsettled if call not in waiting])

    def close(self) -> list[Row]:
        """Close the backend; returns the arrived rows that `settle` has not returned yet."""
        if self._backend is not None:
            self._backend.close()
        return self._note(list(self._unsettled))

    def _open(self) -> tuple[Backend, Ledger]:
        if self._backend is None:
            assert isinstance(self._given, BackendSpec)
            self._backend = completed(build_backend(self._given, self._config))
        if self._ledger is None:
            ledger = Ledger.of(self._config, self.name)
            self._prepare(self._backend, ledger)
            self._ledger = ledger
        return self._backend, self._ledger

    def _note(self, calls: list[int]) -> list[Row]:
        rows = [self._unsettled.pop(call) for call in calls]
        for row in rows:
            assert self._ledger is not None
            (self._ledger.add_report if row.is_report else self._ledger.add_scalars)(row.step)
        return rows
