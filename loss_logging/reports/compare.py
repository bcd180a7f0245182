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
import pyarrow as pa

from loss_logging.captions.decisions import Choice, Decisions
from loss_logging.evidence.verdict import Verdict
from loss_logging.reports.artifact import opened_report
from loss_logging.reports.decided import DecidedItems, decided_report
from loss_logging.reports.items import DECIDED, load_items
from loss_logging.reports.report import DatasetReport, LossReport, Summary
from loss_logging.support.database import connect

__all__ = [
    "CLEAR",
    "Comparison",
    "DatasetChange",
    "ItemChange",
    "ItemCounts",
    "Moments",
    "Side",
    "compare_items",
    "compare_reports",
]

Figure = Literal["loss", "hard", "caption_mismatch"]

CLEAR = 4.0
"""A change whose z is further from 0 is called clear: by chance alone, one in 16,000 is."""
_READ = ("dataset", "path", "caption", "p_wrong", "verdict", "decision", "count", "non_finite", "std_loss")
"""What a comparison reads of each item, beside the figure that it is about."""
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
    of them. For figures other than the loss, and losses that do not vary within items, every change is clear; where no
    item has a second loss, none is. ``recaptioned`` have another caption than before."""

    better: int = 0
    worse: int = 0
    unclear: int = 0
    only_before: int = 0
    only_after: int = 0
    recaptioned: int = 0


class DatasetChange(msgspec.Struct, frozen=True):
    """The mean loss of a dataset, before and after, over ``n_before`` and ``n_after`` finite losses; None where there
    are none. ``z`` is the change over its standard ``error``, which is ``sqrt(s_before**2 / n_before + s_after**2 /
    n_after)`` with ``s`` the sample standard deviation (Welch, "The generalization of 'Student's' problem when several
    different population variances are involved", 1947); None with fewer than 2 losses on a side, and where they do not
    vary.
    ``wrong_before`` and ``wrong_after`` are how many captions are very likely wrong; None where there are no verdicts.
    """

    dataset: str
    before: float | None
    after: float | None
    change: float | None
    z: float | None
    n_before: int
    n_after: int
    items: ItemCounts
    error: float | None = None
    wrong_before: int | None = None
    wrong_after: int | None = None


class ItemChange(msgspec.Struct, frozen=True):
    """An item in both reports; ``z`` is the change over its standard ``error``, for losses. ``caption_before`` is its
    caption in the first report, where that was another one; ``p_wrong_before`` and ``p_wrong_after`` are the chances
    that each is another picture's, ``verdict_before`` and ``verdict_after`` the verdicts, and ``decision`` what
    was decided about it."""

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
    error: float | None = None
    p_wrong_before: float | None = None
    p_wrong_after: float | None = None
    verdict_before: Verdict | None = None
    verdict_after: Verdict | None = None
    decision: Choice | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare_reports` returns.

    ``continues``: the second report goes on from the first, and "after" are the records in between. ``worse`` and
    ``better`` hold the items that changed most, the clearest first, ``recaptioned`` those whose caption is another one
    than before. ``only_before`` and ``only_after`` are the first of
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
    recaptioned: list[ItemChange]
    only_before: list[tuple[str, str]]
    only_after: list[tuple[str, str]]
    flags: dict[str, tuple[int, int]]


def compare_reports(
    before: Path,
    after: Path,
    figure: Figure = "loss",
    rows: int = 10,
    *,
    decisions: Decisions | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare two reports: save steps of one run, or two runs or evaluations over (some of) the same items.

    Two reports of one run are cumulative, the later one containing what the earlier one has. Their losses are compared
    as those up to the first with those after it; ``hard`` and ``caption_mismatch`` as they stand in each.

    Args:
        before, after: JSON reports; the figures of items may be in the Parquet beside them.
        figure: of the items.
        rows: how many items to list of each kind.
        decisions: what was decided about items since the reports were written.
        progress: show a progress bar for what takes more than a second.

    Raises:
        ReportError: a file is no loss report.
        OSError: a file cannot be read.
    """
    with closing(connect()) as items:
        reports = _load_both(items, before, after, figure, decisions, progress)
        return _comparison((before, after), reports, figure, items, rows)


def compare_items(
    before: Path, after: Path, rows: int, most: int, *, decisions: Decisions | None = None, progress: bool = False
) -> tuple[Comparison, pa.Table, int]:
    """The comparison by loss, a table of the items side by side, and how many there are.

    Those with another caption come first, then those whose loss changed most. The columns are dataset, path, caption,
    caption_before (null where it is the same), the losses, the chances of a wrong caption and the verdicts; null on the
    side that an item is missing from.

    Args:
        before, after, rows, decisions, progress: as for `compare_reports`.
        most: items in the table.

    Raises:
        ReportError, OSError: as `compare_reports`.
    """
    with closing(connect()) as items:
        reports = _load_both(items, before, after, "loss", decisions, progress)
        comparison = _comparison((before, after), reports, "loss", items, rows)
        (of,) = items.execute("SELECT count(*) FROM changes").fetchall()[0]
        return comparison, items.sql(_SIDE_BY_SIDE, params=[most]).to_arrow_table(), of


def _comparison(
    paths: tuple[Path, Path],
    reports: tuple[LossReport, LossReport],
    figure: Figure,
    items: duckdb.DuckDBPyConnection,
    rows: int,
) -> Comparison:
    """The comparison, from the tables ``before`` and ``after``; makes the table ``changes``."""
    continues = _continues(*paths, *reports)
    query = files("loss_logging.reports").joinpath("item_changes.sql").read_text("utf-8")
    parameters = {"continues": continues, "is_loss": figure == "loss", "rounding": _ROUNDING, "clear": CLEAR}
    items.execute(f"CREATE TABLE changes AS {query}", parameters)
    counts = {dataset: ItemCounts(*n) for dataset, *n in items.execute(_COUNTS).fetchall()}
    return Comparison(
        before=_side(paths[0], reports[0], items, "before"),
        after=_side(paths[1], reports[1], items, "after"),
        figure=figure,
        continues=continues,
        datasets=_dataset_changes(*reports, continues, counts),
        overall=_change("all", _whole(reports[0]), _whole(reports[1]), continues, _total(counts)),
        worse=_changed(items, "change > 0", rows),
        better=_changed(items, "change < 0", rows),
        recaptioned=_changed(items, "change IS NOT NULL AND is_recaptioned", rows),
        only_before=items.execute(_ONLY.format("in_before AND NOT in_after"), [rows]).fetchall(),
        only_after=items.execute(_ONLY.format("in_after AND NOT in_before"), [rows]).fetchall(),
        flags=_flags(reports[0].flagged_summary, reports[1].flagged_summary),
    )


_TEXTS = """
    SELECT
        shown.*,
        coalesce(after.caption, before.caption) AS caption,
        CASE WHEN is_recaptioned THEN before.caption END AS caption_before,
        before.p_wrong AS p_wrong_before,
        after.p_wrong AS p_wrong_after,
        before.verdict AS verdict_before,
        after.verdict AS verdict_after,
        CASE WHEN in_after THEN after.decision ELSE before.decision END AS decision
    FROM ({}) AS shown
    LEFT JOIN before ON before.rowid = before_row
    LEFT JOIN after ON after.rowid = after_row
"""
"""Some of ``changes`` with the texts of the items."""
_BY_CHANGE = "NOT is_recaptioned, abs(coalesce(z, 0)) DESC, abs(coalesce(change, 0)) DESC, dataset, path"
_SIDE_BY_SIDE = f"""
    SELECT
        dataset, path, caption, caption_before, figure_before AS loss_before, figure_after AS loss_after,
        change AS loss_change, error AS change_error, z AS change_z, p_wrong_before, p_wrong_after,
        verdict_before, verdict_after, decision
    FROM ({_TEXTS.format(f"FROM changes ORDER BY {_BY_CHANGE} LIMIT ?")})
    ORDER BY {_BY_CHANGE}
"""
_COUNTS = """
    SELECT
        dataset,
        count(*) FILTER (is_clear AND change < 0),
        count(*) FILTER (is_clear AND change > 0),
        count(*) FILTER (in_before AND in_after) - count(*) FILTER (is_clear),
        count(*) FILTER (NOT in_after),
        count(*) FILTER (NOT in_before),
        count(*) FILTER (is_recaptioned)
    FROM changes
    GROUP BY dataset
"""
_ONLY = "SELECT dataset, path FROM changes WHERE {} ORDER BY dataset, path LIMIT ?"
_CLEAREST = "abs(coalesce(z, change)) DESC, dataset, path"
_CHANGED = f"""
    SELECT
        dataset, path, caption, figure_before, figure_after, change, z, n_before, n_after, caption_before, error,
        p_wrong_before, p_wrong_after, verdict_before, verdict_after, decision
    FROM ({_TEXTS.format(f"FROM changes WHERE {{}} ORDER BY {_CLEAREST} LIMIT ?")})
    ORDER BY {_CLEAREST}
"""


def _load_both(
    items: duckdb.DuckDBPyConnection,
    before: Path,
    after: Path,
    figure: Figure,
    decisions: Decisions | None,
    progress: bool,
) -> tuple[LossReport, LossReport]:
    """The reports without their items, and the tables ``before`` and ``after`` of those."""
    first = _load(items, "before", before, figure, decisions, progress)
    return first, _load(items, "after", after, figure, decisions, progress)


def _load(
    items: duckdb.DuckDBPyConnection,
    table: str,
    path: Path,
    figure: Figure,
    decisions: Decisions | None,
    progress: bool,
) -> LossReport:
    """The report without its items, and the table of those; its file is read once."""
    column = "average_loss" if figure == "loss" else figure
    read = [*_READ, column, *(["n_paired"] if figure == "caption_mismatch" else [])]
    known = f"isfinite({column})" + (f" AND {DECIDED}" if figure == "caption_mismatch" else "")
    select = (
        "dataset, path, caption, p_wrong, verdict, decision, count - non_finite AS n, std_loss ** 2 * n AS m2, "
        f"CASE WHEN {known} THEN {column} END AS figure"
    )
    with opened_report(path, progress=progress) as (report, texts):
        load_items(items, table, select, path, read, texts=texts, progress=progress)
        if decisions is None:
            return report
        DecidedItems(decisions).mark(items, table)
        return decided_report(report, decisions, texts)


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
    first, second = before.datasets, after.datasets
    return [
        _change(name, first.get(name), second.get(name), continues, counts.get(name, ItemCounts())) for name in names
    ]


def _whole(report: LossReport) -> DatasetReport:
    return DatasetReport(report.global_, verdicts=report.verdicts)


def _change(
    name: str, before: DatasetReport | None, after: DatasetReport | None, continues: bool, items: ItemCounts
) -> DatasetChange:
    first, second = (Moments.of(None if part is None else part.summary) for part in (before, after))
    if continues:
        second = second.without(first)
    change = error = None
    if first.mean is not None and second.mean is not None:
        change, error = second.mean - first.mean, _welch_error(first, second)
    z = None if change is None or error is None else change / error
    wrong = [part.verdicts.very_likely_wrong if part and part.verdicts else None for part in (before, after)]
    return DatasetChange(name, first.mean, second.mean, change, z, first.n, second.n, items, error, *wrong)


def _welch_error(first: Moments, second: Moments) -> float | None:
    if first.n < 2 or second.n < 2 or first.mean is None or second.mean is None:
        return None
    variances = [side.m2 / (side.n - 1) for side in (first, second)]
    if not _ROUNDING * max(abs(first.mean), abs(second.mean)) < math.sqrt(max(variances)) < math.inf:
        return None
    return math.sqrt(variances[0] / first.n + variances[1] / second.n)


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
