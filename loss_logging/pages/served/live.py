"""LiveRun: the figures of all items of a run that may still grow, updated in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from loss_logging.errors import LossLoggingError
from loss_logging.pages.charts import most_points
from loss_logging.pages.content import listed_items
from loss_logging.pages.item_counts import ItemCounts
from loss_logging.pages.run_reports import RunReports
from loss_logging.pages.served.item_query import (
    Filter,
    ItemQuery,
    columns_in,
    matching,
    page_of,
    rows_of,
    undecided,
    with_marks,
)
from loss_logging.pages.served.now import brought_up_to_date, counts_of
from loss_logging.pages.served.step_tables import StepTables, load_items_of, look_at_items_of
from loss_logging.records.log import RecordLog
from loss_logging.reports.decided import DecidedItems
from loss_logging.reports.items import ITEM_SCHEMA
from loss_logging.reports.report import LossReport, Worst
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.lock import is_locked
from loss_logging.statistics.loss_curves import LossCurves, loss_curves
from loss_logging.statistics.run import RunStatistics
from loss_logging.support.progress_bar import progress_bar
from loss_logging.support.warn import LOGGER

__all__ = ["LiveRun", "State"]

_LOOK_SECONDS, _MOST_SECONDS = 2.0, 60.0
_FIRST_RECORDS = 25_000
"""The number of records of a log that are read first: the table appears after a second, and then grows."""
_SHARE = 0.1
"""The share of time for updates of a growing log, unless a pause becomes too long; the machine belongs to the
trainer."""


class State(msgspec.Struct, frozen=True):
    """The state of the page. ``version`` changes with the table of items, and ``step`` is the last step in it;
    ``counted`` is the version of the counts, which take a moment for millions of items; ``items`` is None before the
    first table. ``busy`` and ``problem`` are sentences for a person."""

    version: int = 0
    counted: int = -1
    step: int = -1
    items: int | None = None
    report_step: int | None = None
    busy: str = ""
    problem: str = ""


class LiveRun:
    """The items of a run: at first from the Parquet file beside its last report, then from its log, with updates as the
    log grows. It only reads; data that do not fit into memory go to the system's temporary folder.

    Args:
        config: the configuration of the run; its ``memory_limit`` and ``threads`` are limits for DuckDB.
        progress: show a progress bar while the log is read for the first time.
    """

    def __init__(self, config: TrainConfig, *, progress: bool = False) -> None:
        self.config = config
        self.log = RecordLog(config.records_dir)
        self.state = State(busy="Reading the run")
        self.reports: list[LossReport] = []
        self.problems: list[str] = []
        self.decided: Callable[[], Mapping[tuple[str, str], str]] = dict
        """All decisions of a person, by dataset and path; they are in files of all folders."""
        self.decision_of: Callable[[str, str], str] = undecided
        """The decision about one item, by dataset and path; "" if there is none."""
        self._read_reports = RunReports(config)
        self._statistics = RunStatistics.of(config, self.log)
        self._progress = progress
        self._tables: list[str] = []
        self._folders: tuple[str, list[str]] = "", []  # for the table of this name
        self._step_tables = StepTables(self._statistics.cursor)
        self._changed = time.monotonic()
        self._curves, self._curves_version, self._curves_due = LossCurves(), -1, 0.0
        self._counts: tuple[str, ItemCounts] | None = None
        self._count_due = 0.0
        self._outdated = threading.Event()  # whether something was decided since the counts
        self._answering = threading.Lock()
        # It has all columns, as a page that is opened before the log is read keeps the columns that it finds.
        self._statistics.cursor().from_arrow(ITEM_SCHEMA.empty_table()).create("no_items")
        self._flagged: dict[tuple[str, str], list[str]] = {}
        self._seen: list[tuple[Path, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="loss-logging view", daemon=True)

    def __enter__(self) -> LiveRun:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._statistics.close()

    # --- answers ----------------------------------------------------------------------------------------------------

    def page(self, asked: ItemQuery, step: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """The rows of one page, and the number of all matching items; of a save step, or of the present.

        Raises:
            QueryError: ``asked`` names a column that does not exist.
        """
        flagged = self.flagged(step)
        with self._table(step) as (connection, table):
            where, values = matching(asked, columns_in(connection, table), flagged, self.decided)
            rows, total = page_of(connection, table, asked, where, values)
        return [with_marks(row, flagged, self.decision_of) for row in rows], total

    def batches(self, asked: Filter, step: int | None = None) -> Iterator[pa.RecordBatch]:
        """All matching items, with all figures."""
        with self._table(step) as (connection, table):
            where, values = matching(asked, columns_in(connection, table), self.flagged(step), self.decided)
            columns = _listed(connection, table)
            yield from connection.sql(f"SELECT {columns} FROM {table} WHERE {where}", params=values).to_arrow_reader(
                8_192
            )

    def columns(self, step: int | None = None) -> pa.Schema:
        """The columns of the table of items."""
        with self._table(step) as (connection, table):
            return connection.sql(f"SELECT {_listed(connection, table)} FROM {table} LIMIT 0").to_arrow_table().schema

    def datasets(self, most: int) -> list[str]:
        """Names of at most ``most`` datasets."""
        with self._table() as (connection, table):
            names = connection.execute(f"SELECT DISTINCT dataset FROM {table} ORDER BY dataset LIMIT ?", [most])
            return [name for (name,) in names.fetchall()]

    def item(self, dataset: str, path: str, step: int | None = None) -> dict[str, Any] | None:
        """The figures of one item."""
        with self._table(step) as (connection, table):
            query = f"SELECT {_listed(connection, table)} FROM {table} WHERE dataset = ? AND path = ?"
            rows = rows_of(connection, query, [dataset, path])
        return with_marks(rows[0], self.flagged(step), self.decision_of) if rows else None

    def report(self, step: int | None = None) -> tuple[LossReport | None, ItemCounts | None]:
        """The report of a save step, or the newest report with present figures and decisions; and the counts over all
        items.

        The counts are None before the log is read, or if the report has no items.
        """
        if step is None:
            decided = DecidedItems(self.config.decisions)
            report, counts = self.ranked(len(self.decided()))
            return None if report is None else _cut(decided.report(report), self.config.top_k), counts
        report = self._report_of(step)
        if report is None or self._step_tables(report) is None:
            return report, None
        with self._table(step) as (connection, table):
            return report, counts_of(connection, table)

    def ranked(self, more: int = 0) -> tuple[LossReport | None, ItemCounts | None]:
        """The newest report with present figures, settled items included, and the counts; see `report`.

        Args:
            more: items of each ranking beyond ``top_k``, where there are figures after the report.
        """
        if not self.reports:
            return None, None
        report, state = self.reports[-1], self.state
        if state.items is None or state.step < report.job.step:
            return report, None
        counted = self._counts
        if counted is None:
            return report, None
        table, counts = counted
        if state.step == report.job.step:
            return report, counts
        with self._table() as (connection, shown):
            if table != shown:  # the count follows in a moment
                return report, None
            return brought_up_to_date(report, connection, table, counts, self.config.top_k + more), counts

    def curves(self) -> LossCurves:
        """The loss over training; read again as the log grows, in at most a tenth of the time.

        It is empty before there is a table of items: reading the log for it would delay that.
        """
        if not self._tables:
            return LossCurves()
        with self._answering:
            if self._curves_version != self.state.version and time.monotonic() >= self._curves_due and self.log.files():
                before, version = time.monotonic(), self.state.version
                points = most_points(len(self.reports[-1].datasets) if self.reports else 1)
                limits: dict[str, Any] = {"memory_limit": self.config.memory_limit, "threads": self.config.threads}
                self._curves = loss_curves(self.log, points, **limits)
                self._curves_version = version
                self._curves_due = time.monotonic() + (time.monotonic() - before) * (1 / _SHARE - 1)
            return self._curves

    def flagged(self, step: int | None = None) -> dict[tuple[str, str], list[str]]:
        """The rules that object to a caption, by dataset and path, of a save step or the newest one."""
        if step is None:
            return self._flagged
        report = self._report_of(step)
        return {(flag.dataset, flag.path): flag.reasons for flag in report.flagged} if report else {}

    def folders(self) -> list[str]:
        """The folders in the items' paths."""
        with self._table() as (connection, table):
            if self._folders[0] != table:
                found = connection.sql(f"SELECT DISTINCT regexp_replace(path, '[^/]*$', '') FROM {table}").fetchall()
                self._folders = table, [folder for (folder,) in found]
        return self._folders[1]

    def with_paths(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Dataset and path of the items with one of these paths."""
        with self._table() as (connection, table):
            query = f"SELECT dataset, path FROM {table} WHERE path IN (SELECT unnest(?::VARCHAR[]))"
            return [(dataset, path) for dataset, path in connection.execute(query, [list(paths)]).fetchall()]

    def suggested(self, dataset: str, path: str) -> str:
        """A better caption of an item, if its figures hold one; "" otherwise."""
        return str((self.item(dataset, path) or {}).get("suggestion") or "")

    def caption_of(self, dataset: str, path: str) -> str | None:
        """The caption of an item as the log has it; None if there is no such item."""
        return (self.item(dataset, path) or {}).get("caption")

    def recount(self) -> None:
        """Let the thread count again, as a decision about an item has changed."""
        self._outdated.set()

    def sign(self) -> dict[str, Any]:
        """The state, the age of the shown figures in seconds, and whether a process writes to the run."""
        seen = {"age": time.monotonic() - self._changed, "live": is_locked(self.config.records_dir, rank=0)}
        return msgspec.structs.asdict(self.state) | seen

    def _report_of(self, step: int) -> LossReport | None:
        return next((report for report in self.reports if report.job.step == step), None)

    def names(self, path: str) -> bool:
        """Whether a record names the file ``path``."""
        if any(path == item.path for report in self.reports[-1:] for item in listed_items(report)):
            return True
        with self._table() as (connection, table):
            return bool(connection.execute(f"SELECT 1 FROM {table} WHERE path = ? LIMIT 1", [path]).fetchall())

    @contextmanager
    def _table(self, step: int | None = None) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A connection for this thread, and the table of a save step or the present one; at first an empty table."""
        report = None if step is None else self._report_of(step)
        name = None if report is None else self._step_tables(report)
        connection = self._statistics.cursor()
        try:
            if step is not None:
                yield connection, name or "no_items"
            else:
                yield connection, self._tables[-1] if self._tables else "no_items"
        finally:
            connection.close()

    # --- the thread -------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        due = 0.0
        while not self._stop.wait(_LOOK_SECONDS if due else 0.0):
            before = time.monotonic()
            is_due = before >= due
            if not is_due and not (self._outdated.is_set() and before >= self._count_due):
                continue
            try:
                if is_due:
                    self._look()
                self._count()
            except duckdb.Error as error:
                self._trouble(error)
                self.log.leave_out_damaged()  # or a shard was compacted: then the next listing is right
            except (LossLoggingError, OSError) as error:
                self._trouble(error)
            if is_due:
                due = _next_time(before)

    def _trouble(self, error: Exception) -> None:
        LOGGER.debug("the run could not be read", exc_info=error)
        self._change(busy="", problem=f"The run cannot be read at present: {error}")

    def _look(self) -> None:
        self._look_at_reports()
        files = [(path, path.stat().st_size) for path in self.log.files()]
        if not self._tables:
            self._show_stored(has_log=bool(files))
        if files != self._seen:
            step = self.log.last_step_of_all()
            if step > self.state.step or self._seen:  # otherwise the stored figures cover the whole log
                if self._tables:
                    self._read_on(step)
                else:
                    self._read_first()
            self._seen = files
        self._change(busy="", problem="" if self._tables else "There are no records yet.")

    def _count(self) -> None:
        """Count over the items, if they or the decisions about them are others than before."""
        if not self._tables or not (self._outdated.is_set() or not self._counts or self._counts[0] != self._tables[-1]):
            return
        before = time.monotonic()
        self._outdated.clear()
        with self._table() as (connection, table):
            self._counts = table, counts_of(connection, table, self._decided())
        self._count_due = _next_time(before)
        self._change(counted=self.state.version)

    def _decided(self) -> DecidedItems | None:
        """What was decided about the items, if anything was."""
        decisions = self.config.decisions
        return DecidedItems(decisions) if decisions.are_about(self.folders()) else None

    def _read_on(self, step: int) -> None:
        if not self._seen:
            self._change(busy=f"Reading the log since step {self.state.step:,}")
        self._statistics.advance(step)
        self._show(self._statistics.keep_items, step)

    def _read_first(self) -> None:
        """Show the first records of a log as soon as they are read, then eight times as many, and so on."""
        self._change(busy="Looking through the log")
        milestones = self._statistics.milestones(_FIRST_RECORDS)
        _, total = milestones[-1]
        read = 0
        with progress_bar("reading the log", total=total, unit=" records", shown=self._progress) as bar:
            for step, records in milestones:
                self._change(busy=f"Reading the log: {read:,} of {total:,} records are in the figures")
                self._statistics.advance(step)
                self._show(self._statistics.keep_items, step)
                bar.update(records - read)
                read = records
                if self._stop.is_set():
                    return

    def _look_at_reports(self) -> None:
        reports, problems = self._read_reports()
        left_out = [f"{path.name} is left out of the log: {why}" for path, why in self.log.unreadable.items()]
        self.problems = [*problems, *left_out]
        self.reports = reports
        if reports:
            self._flagged = {(flag.dataset, flag.path): flag.reasons for flag in reports[-1].flagged}
            self._change(report_step=reports[-1].job.step)

    def _show_stored(self, *, has_log: bool) -> None:
        """Show the items of the newest report, if that is faster than reading the log, or if there is no log: of a
        Parquet file at once, and then from memory, as searches are faster there."""
        if not self.reports:
            return
        report = self.reports[-1]
        if self._show(lambda name: look_at_items_of(report, name, self._statistics.cursor()), report.job.step):
            self._change(busy="Reading the items")
        elif has_log:
            return
        self._show(lambda name: load_items_of(report, name, self._statistics.cursor()), report.job.step)

    def _show(self, make: Callable[[str], object], step: int) -> bool:
        """Make a new table and show it from now on; the old table stays for requests that still read it. False if there
        is none to show."""
        name = f"items_{self.state.version + 1}"
        if make(name) is False:
            return False
        with self._statistics.cursor() as connection:
            rows = connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
        self._tables.append(name)
        self._changed = time.monotonic()
        self._change(version=self.state.version + 1, step=step, items=rows)
        if len(self._tables) > 2:
            self._statistics.forget_items(self._tables.pop(0))
        return True

    def _change(self, **fields: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)


def _next_time(before: float) -> float:
    """When to do again what has taken from ``before`` until now."""
    now = time.monotonic()
    return now + min(max(_LOOK_SECONDS, (now - before) * (1 / _SHARE - 1)), _MOST_SECONDS)


def _cut(report: LossReport, k: int) -> LossReport:
    """The report with the ``k`` worst items of each ranking."""
    worst = report.worst
    return msgspec.structs.replace(report, worst=Worst(worst.hard[:k], worst.caption_mismatch[:k]))


def _listed(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    return ", ".join(f'"{name}"' for name in columns_in(connection, table))
