"""What got better and what got worse from one report to another, by dataset and by item."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec

from loss_logging.reports.artifact import read_without_items
from loss_logging.reports.items import DECIDED, load_items
from loss_logging.reports.report import LossReport, Summary
from loss_logging.support.database import connect

__all__ = ["CLEAR", "Comparison", "DatasetChange", "ItemChange", "ItemCounts", "Moments", "Side", "compare_reports"]

Figure = Literal["loss", "hard", "caption_mismatch"]

CLEAR = 4.0
"""A change whose z is further from 0 is called clear: by chance alone, one in 16,000 is."""
_ROUNDING = 1e-7
"""Of the mean, a spread that sums of many losses and what is taken from them round to: there is none."""


class Side(msgspec.Struct, frozen=True):
    """One of the two reports. ``has_items``: whether there are figures of its items."""

    path: str
    job: str
    step: int
    has_items: bool


class ItemCounts(msgspec.Struct, frozen=True):
    """How many items. ``better`` and ``worse`` are the clear changes among those in both reports, ``unclear`` the rest
    of them; for figures without a z every change counts."""

    better: int = 0
    worse: int = 0
    unclear: int = 0
    only_before: int = 0
    only_after: int = 0


class DatasetChange(msgspec.Struct, frozen=True):
    """The mean loss of a dataset, before and after, over ``n_before`` and ``n_after`` finite losses; None where there
    are none. ``z`` is the change over its standard error, ``sqrt(s_before**2 / n_before + s_after**2 / n_after)`` with
    ``s`` the sample standard deviation (Welch, "The generalization of 'Student's' problem when several different
    population variances are involved", 1947); None with fewer than 2 losses on a side, and where they do not vary."""

    dataset: str
    before: float | None
    after: float | None
    change: float | None
    z: float | None
    n_before: int
    n_after: int
    items: ItemCounts


class ItemChange(msgspec.Struct, frozen=True):
    """An item in both reports; ``z`` is the change over its standard error, for losses. ``caption_before`` is its
    caption in the first report, where that was another one."""

    dataset: str
    path: str
    caption: str
    before: float
    after: float
    change: float
    z: float | None
    n_before: int
    n_after: int
    caption_before: str | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare_reports` returns.

    ``continues``: the second report goes on from the first, and "after" are the records in between. ``worse`` and
    ``better`` hold the items that changed most, the clearest first. ``only_before`` and ``only_after`` are the first of
    the items that only one report has, as (dataset, path). ``flags`` maps each reason to the number of captions that it
    was found in, before and after.
    """

    before: Side
    after: Side
    figure: Figure
    continues: bool
    datasets: list[DatasetChange]
    overall: DatasetChange
    worse: list[ItemChange]
    better: list[ItemChange]
    only_before: list[tuple[str, str]]
    only_after: list[tuple[str, str]]
    flags: dict[str, tuple[int, int]]


def compare_reports(
    before: Path, after: Path, figure: Figure = "loss", rows: int = 10, *, progress: bool = False
) -> Comparison:
    """Compare two reports: save steps of one run, or two runs or evaluations over (some of) the same items.

    Two reports of one run are cumulative, the later one containing what the earlier one has. Their losses are compared
    as those up to the first with those after it; ``hard`` and ``caption_mismatch`` as they stand in each.

    Args:
        before, after: JSON reports; the figures of items may be in the Parquet beside them.
        figure: of the items.
        rows: how many items to list of each kind.
        progress: show a progress bar for what takes more than a second.

    Raises:
        ReportError: a file is no loss report.
        OSError: a file cannot be read.
    """
    reports = read_without_items(before, progress=progress), read_without_items(after, progress=progress)
    continues = _continues(before, after, *reports)
    with closing(_items(before, after, figure, continues, progress)) as items:
        counts = {dataset: ItemCounts(*n) for dataset, *n in items.execute(_COUNTS, {"clear": CLEAR}).fetchall()}
        return Comparison(
            before=_side(before, reports[0], items, "before"),
            after=_side(after, reports[1], items, "after"),
            figure=figure,
            continues=continues,
            datasets=_dataset_changes(*reports, continues, counts),
            overall=_change("all", reports[0].global_, reports[1].global_, continues, _total(counts)),
            worse=_changed(items, "change > 0", rows),
            better=_changed(items, "change < 0", rows),
            only_before=items.execute(_ONLY.format("in_before AND NOT in_after"), [rows]).fetchall(),
            only_after=items.execute(_ONLY.format("in_after AND NOT in_before"), [rows]).fetchall(),
            flags=_flags(reports[0].flagged_summary, reports[1].flagged_summary),
        )


_COUNTS = """
    SELECT
        dataset,
        count(*) FILTER (change < 0 AND coalesce(z < -$clear, true)),
        count(*) FILTER (change > 0 AND coalesce(z > $clear, true)),
        count(*) FILTER (in_before AND in_after)
            - count(*) FILTER (change != 0 AND coalesce(abs(z) > $clear, true)),
        count(*) FILTER (NOT in_after),
        count(*) FILTER (NOT in_before)
    FROM changes
    GROUP BY dataset
"""
_ONLY = "SELECT dataset, path FROM changes WHERE {} ORDER BY dataset, path LIMIT ?"
_CHANGED = """
    SELECT dataset, path, caption, figure_before, figure_after, change, z, n_before, n_after, caption_before
    FROM changes
    WHERE {}
    ORDER BY abs(coalesce(z, change)) DESC, dataset, path
    LIMIT ?
"""


def _items(before: Path, after: Path, figure: Figure, continues: bool, progress: bool) -> duckdb.DuckDBPyConnection:
    """A connection with the tables ``before``, ``after`` and ``changes``."""
    column = "average_loss" if figure == "loss" else figure
    known = f"isfinite({column})" + (f" AND {DECIDED}" if figure == "caption_mismatch" else "")
    select = (
        "dataset, path, caption, count - non_finite AS n, std_loss ** 2 * n AS m2, "
        f"CASE WHEN {known} THEN {column} END AS figure"
    )
    connection = connect()
    for table, report in (("before", before), ("after", after)):
        load_items(connection, table, select, report, progress=progress)
    query = files("loss_logging.reports").joinpath("item_changes.sql").read_text("utf-8")
    parameters = {"continues": continues, "is_loss": figure == "loss", "rounding": _ROUNDING}
    connection.execute(f"CREATE TABLE changes AS {query}", parameters)
    return connection


def _side(path: Path, report: LossReport, items: duckdb.DuckDBPyConnection, table: str) -> Side:
    return Side(str(path), report.job.name, report.job.step, bool(items.execute(f"FROM {table} LIMIT 1").fetchall()))


def _continues(before: Path, after: Path, first: LossReport, second: LossReport) -> bool:
    """Whether they are of one run. A run of the same name that was begun anew has a folder of its own."""
    same = before.resolve().parent == after.resolve().parent and first.job.name == second.job.name
    return same and first.job.step < second.job.step and first.global_.count <= second.global_.count


def _dataset_changes(
    before: LossReport, after: LossReport, continues: bool, counts: Mapping[str, ItemCounts]
) -> list[DatasetChange]:
    names = dict.fromkeys([*before.datasets, *after.datasets])
    summaries = [{name: dataset.summary for name, dataset in report.datasets.items()} for report in (before, after)]
    first, second = summaries
    return [
        _change(name, first.get(name), second.get(name), continues, counts.get(name, ItemCounts())) for name in names
    ]


def _change(
    name: str, before: Summary | None, after: Summary | None, continues: bool, items: ItemCounts
) -> DatasetChange:
    first, second = Moments.of(before), Moments.of(after)
    if continues:
        second = second.without(first)
    if not (first.n and second.n):
        return DatasetChange(name, first.mean, second.mean, None, None, first.n, second.n, items)
    assert first.mean is not None
    assert second.mean is not None
    change = second.mean - first.mean
    return DatasetChange(name, first.mean, second.mean, change, _welch(first, second), first.n, second.n, items)


def _welch(first: Moments, second: Moments) -> float | None:
    if first.n < 2 or second.n < 2 or first.mean is None or second.mean is None:
        return None
    variances = [side.m2 / (side.n - 1) for side in (first, second)]
    if not _ROUNDING * max(abs(first.mean), abs(second.mean)) < math.sqrt(max(variances)) < math.inf:
        return None
    return (second.mean - first.mean) / math.sqrt(variances[0] / first.n + variances[1] / second.n)


class Moments(msgspec.Struct, frozen=True):
    """Number, mean and sum of squared deviations of finite losses."""

    n: int = 0
    mean: float | None = None
    m2: float = 0.0

    @classmethod
    def of(cls, summary: Summary | None) -> Moments:
        if summary is None or summary.mean is None:
            return cls()
        n = summary.count - summary.non_finite
        return cls(n, summary.mean, (summary.std or 0.0) ** 2 * n)

    def without(self, part: Moments) -> Moments:
        """Of the rest, when ``part`` is taken away."""
        if self.mean is None or part.mean is None:
            return self
        n = self.n - part.n
        if n <= 0:
            return Moments()
        mean = (self.n * self.mean - part.n * part.mean) / n
        return Moments(n, mean, max(self.m2 - part.m2 - (mean - part.mean) ** 2 * part.n * n / self.n, 0.0))


def _total(counts: Mapping[str, ItemCounts]) -> ItemCounts:
    return ItemCounts(*map(sum, zip(*map(msgspec.structs.astuple, counts.values()), strict=True)))


def _changed(items: duckdb.DuckDBPyConnection, condition: str, rows: int) -> list[ItemChange]:
    found: list[tuple[Any, ...]] = items.execute(_CHANGED.format(condition), [rows]).fetchall()
    return [ItemChange(*row) for row in found]


def _flags(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {reason: (before.get(reason, 0), after.get(reason, 0)) for reason in sorted({*before, *after})}
