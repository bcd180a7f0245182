"""The items of earlier save steps as tables."""

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

__all__ = ["StepTables", "load_items_of", "look_at_items_of"]

_KEPT = 3


class StepTables:
    """Loads the items of a save step on demand, and keeps the tables of the last few steps.

    Args:
        cursor: function that returns a connection for the calling thread.
    """

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self._lock = threading.Lock()
        self._names: dict[int, str] = {}

    def __call__(self, report: LossReport) -> str | None:
        """The name of the table with the items of a report; None if it has none.

        Raises:
            ReportError: the file of the report is damaged.
            OSError: the file cannot be read.
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


def look_at_items_of(report: LossReport, name: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the view ``name`` of the Parquet file beside a report, at once; False if it has none. A search in the file
    takes three times as long as in a table."""
    stored = items_path(Path(report.json_path or ""))
    if stored.exists():
        rows = connection.read_parquet(glob.escape(str(stored)), file_row_number=True)
        rows.project("* EXCLUDE (file_row_number), file_row_number AS rowid").create_view(name)
        return True
    return False


def load_items_of(report: LossReport, name: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the table ``name`` of the items in or beside a report; False if it has none."""
    stored = items_path(Path(report.json_path or ""))
    if stored.exists():
        connection.read_parquet(glob.escape(str(stored))).create(name)
        return True
    batches = list(read_items(Path(report.json_path or "")))
    if batches:
        items = pa.Table.from_batches(batches)
        connection.from_arrow(items).create(name)
    return bool(batches)
