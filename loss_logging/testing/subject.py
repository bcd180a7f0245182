"""Subject: the backend under test, built the way a run builds it, and read back where its author says how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import pytest

from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.backends import BackendSpec, ChosenBackends, LoggerBackend, build_backend, select_backends

__all__ = ["Contents", "Reader", "Subject"]


class Contents(NamedTuple):
    """What a tracker holds. A field is None where it has no such thing.

    ``scalars``: points (step, value) by name, in the order in which the tracker shows them. ``histograms``: by name and
    step, the height of each bar; curves over timesteps count as histograms. ``tables``: by name and step, the number of
    rows.
    """

    scalars: Mapping[str, Sequence[tuple[int, float]]]
    histograms: Mapping[str, Mapping[int, Sequence[float]]] | None = None
    tables: Mapping[str, Mapping[int, int]] | None = None


Reader: TypeAlias = Callable[[LoggerBackend, TrainConfig], Contents]
"""Reads back what was written under a configuration. The backend is closed, or one that was never written to."""


class Subject:
    """The backend under test.

    Args:
        entry: as in ``TrainConfig.loggers``: a name, ``"module:Class"``, or a mapping with ``name`` and options.
        config: of the run; its folder is the test's own.
        reader: reads back what was written; without it, the cases check only that writing works.
    """

    def __init__(self, entry: str | Mapping[str, Any], config: TrainConfig, reader: Reader | None) -> None:
        self.entry = entry
        self.config = config
        self._reader = reader

    @property
    def selection(self) -> ChosenBackends:
        """In which process a run would have it."""
        return select_backends([self.entry])

    def build(self) -> LoggerBackend:
        """A new backend, not yet written to."""
        selection = self.selection
        found = selection.reporter[0] if selection.reporter else selection.trainer[0]
        return build_backend(found, self.config) if isinstance(found, BackendSpec) else found

    def read(self, backend: LoggerBackend | None = None) -> Contents:
        """What the tracker holds; skips the rest of the test where there is no reader."""
        if self._reader is None:
            pytest.skip("written without trouble; give --loss-logging-reader module:function to compare what arrived")
        return self._reader(backend or self.build(), self.config)
