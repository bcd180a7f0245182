"""The in-memory backend: a test double, and the example to copy when writing a backend."""

from __future__ import annotations

from collections.abc import Mapping

from loss_logging.reports.report import LossReport
from loss_logging.trackers.backends import Requirements

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """Keeps all ``reports`` and ``scalars`` (step and values) in order of arrival, and whether it is ``closed``.

    Example:
        >>> backend = MemoryBackend()
        >>> backend.write_scalars(50, {"loss_logging/loss/cats": 0.25})
        >>> backend.scalars
        [(50, {'loss_logging/loss/cats': 0.25})]
    """

    name = "memory"

    def __init__(self) -> None:
        self.reports: list[LossReport] = []
        self.scalars: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    @classmethod
    def requirements(cls) -> Requirements:
        """It runs in the trainer's process, as the caller cannot read the memory of another process."""
        return Requirements(trainer_process=True)

    def write(self, report: LossReport) -> None:
        """Append to ``reports``."""
        self.reports.append(report)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append to ``scalars``."""
        self.scalars.append((step, dict(scalars)))

    def close(self) -> None:
        """Note that the run is over."""
        self.closed = True
