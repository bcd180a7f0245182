"""The items of save steps as tables, for who looks at an earlier one."""

from __future__ import annotations

import glob
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

from loss_logging.reports.items import read_items
from loss_logging.reports.names import items_path
from loss_logging.reports.report import LossReport

__all__ = ["StepTables", "load_items_of"]

_KEPT = 3


class StepTables:
    """Loads the items of a save step when they are asked for, and keeps those of the last few.

    Args:
        cursor: gives a connection for the calling thread.
    """

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self._lock = threading.Lock()
        self._names: dict[int, str] = {}

    def __call__(self, report: LossReport) -> str | None:
        """The name of the table with the items of a report; None where it has none.

        Raises:
            ReportError: its file is damaged.
            OSError: it cannot be read.
        """
        step = report.job.step
        with self._lock, self._cursor() as connection:
            if step not in self._names:
                name = f"items_of_step_{step}"
                if not load_items_of(report, name, connection):
                    return None
                self._names[step] = name
                if len(self._names) > _KEPT:
                    oldest = next(iter(self._names))
                    connection.execute(f"DROP TABLE {self._names.pop(oldest)}")
            return self._names[step]


def load_items_of(report: LossReport, name: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the table ``name`` of the items beside or in a report; False where it has none."""
    stored = items_path(Path(report.json_path or ""))
    if stored.exists():
        connection.read_parquet(glob.escape(str(stored))).create(name)
        return True
    batches = list(read_items(Path(report.json_path or "")))
    if batches:
        items = pa.Table.from_batches(batches)
        connection.from_arrow(items).create(name)
    return bool(batches)
