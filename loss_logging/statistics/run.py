"""Every figure that anyone sees: short SQL files over the record log, run by DuckDB.

`aggregate_by_dataset` runs them over records in memory, `RunStatistics` over the log of a run. The queries are the same
ones, so the figures are too.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from loss_logging.errors import ConfigError
from loss_logging.records.columns import table_from_records
from loss_logging.records.log import FOREVER, RecordLog
from loss_logging.records.record import RecordLike
from loss_logging.records.tables import table_of_records
from loss_logging.reports.report import PairedItems, Summary, TimestepCurve, TopRecord, Verdicts, WorstItem
from loss_logging.statistics import bins
from loss_logging.statistics.queries import Queries, parts_of, sql
from loss_logging.statistics.timestep_bins import MOST_BINS, bins_of_scale, first_timesteps
from loss_logging.statistics.verdicts import judge_items

if TYPE_CHECKING:
    from loss_logging.captions.config import CaptionConfig
    from loss_logging.captions.decisions import Decisions
    from loss_logging.statistics.captions import CaptionStatistics

__all__ = ["Aggregates", "RunStatistics", "aggregate_by_dataset", "item_history", "suspects"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_NO_QUANTILES = (None,) * len(QUANTILES)
_EXACT_RECORDS = 2_000_000
"""Quantiles of a dataset of up to so many finite losses are exact; of more, they are read off bins, at a cost that does
not grow."""
_EXACT_ITEMS = 2_000_000
"""Up to so many items with a caption_mismatch its medians are exact; above, of rounded values."""
_MAX_CANDIDATES = 999_999
"""DuckDB's max(x, n) takes no larger n."""
_STATE = ("cells", "bins", "items")
_FEWEST_FOR_SUSPECTS = 28
"""With fewer, `hard` is below 1: n of N losses are at most sqrt(N / n - 1) standard deviations above the mean."""
_BLOCK_STEPS = 250
"""Steps that losses are standardised over where no run says it: the default of ``save_every``."""


class Aggregates(msgspec.Struct, frozen=True):
    """What `aggregate_by_dataset` returns: a `Summary` for each dataset (by name) and for all records together."""

    datasets: dict[str, Summary]
    overall: Summary

    def to_dict(self) -> dict[str, Any]:
        """Plain data with the keys ``dataset_summary`` and ``global``."""
        return {"dataset_summary": msgspec.to_builtins(self.datasets), "global": msgspec.to_builtins(self.overall)}


def aggregate_by_dataset(records: Iterable[RecordLike] | RecordLog | pa.Table, top_k: int = 10) -> Aggregates:
    """Count, mean, median, min, max, std, quantiles and the highest losses, per dataset and over all.

    Args:
        records: SampleRecords, or mappings with at least path, dataset, caption, loss; or a table with at least those
            columns; or a `RecordLog`.
        top_k: how many of the highest losses to list, each item once; 0 or more.

    Returns:
        `Aggregates`; ``count`` includes the ``non_finite`` losses, every other figure leaves them out. ``std`` is the
        population standard deviation. Without records, ``overall`` has count 0 and None for the figures.

    Raises:
        ConfigError: ``top_k`` is not a whole number of 0 or more.
        ValueError: a record, or the table, lacks a required key, or a figure is not a number.
        TypeError: a record is neither a SampleRecord nor a mapping.

    Example:
        >>> result = aggregate_by_dataset([
        ...     {"path": "1.png", "dataset": "cats", "caption": "a cat", "loss": 0.25},
        ...     {"path": "2.png", "dataset": "cats", "caption": "a cat", "loss": 0.75},
        ...     {"path": "3.png", "dataset": "dogs", "caption": "a dog", "loss": float("nan")},
        ... ])
        >>> result.datasets["cats"].mean, result.datasets["cats"].top_k[0].path, result.overall.count
        (0.5, '2.png', 3)
        >>> result.datasets["dogs"].non_finite, result.datasets["dogs"].mean
        (1, None)
    """
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 0:
        raise ConfigError(f"top_k is {top_k!r}; allowed: a whole number, 0 or more")
    with Queries(threads=os.cpu_count() or 1) as queries:  # the caller waits for it, and nothing else
        if isinstance(records, RecordLog):
            queries.read(records.files())
        else:
            is_table = isinstance(records, pa.Table)
            queries.read(table_of_records(records) if is_table else table_from_records(records))
        queries.table("cells", sql("cells"), after=-1, through=FOREVER)
        queries.view("peaks", "SELECT * FROM samples WHERE loss IS NOT NULL")
        summaries = _summaries(queries, FOREVER, top_k, with_bins=False)
    overall = summaries.pop(None, _empty_summary())
    return Aggregates({str(name): summary for name, summary in summaries.items()}, overall)


class RunStatistics:
    """The statistics of one run, over a log that grows.

    Sums per item, per dataset and per loss bin are carried forward, so that a save step costs what is new plus what is
    shown, and not the length of the run. They are carried in whole blocks of ``block_steps`` steps; the rows of the
    last, unfinished block are read from the log each time. Figures therefore do not depend on when they were asked for.
    When the log changes behind what was carried (a resumed run, records that came late), everything is computed anew.

    Args:
        log: the run's records.
        block_steps: how many steps `hard` standardises over.
        timestep_scale: the last timestep of a scale from 0 with equal bins; None makes bins of the first ones seen, see
            `loss_logging.statistics.timestep_bins`.
        memory_limit, threads, spill_folder: what DuckDB may use.
    """

    def __init__(
        self,
        log: RecordLog,
        *,
        block_steps: int,
        timestep_scale: float | None,
        memory_limit: str,
        threads: int,
        spill_folder: Path | None = None,
    ) -> None:
        self._log = log
        self._block_steps = block_steps
        self.timestep_scale = timestep_scale
        self._queries = Queries(memory_limit, threads, spill_folder, block_steps)
        self._edges: list[float] | None = None
        self._edges_stay = False
        if timestep_scale is not None:
            self._place(bins_of_scale(timestep_scale), stay=True)
        self._closed = -1
        self._through = -1
        self.unjudged: list[str] = []
        """Sentences on verdicts that could not be given."""
        self._forget()

    def close(self) -> None:
        """Give the memory back."""
        self._queries.__exit__()

    def recent(self, after: int, through: int, every: int) -> list[tuple[int, dict[str, float]]]:
        """Mean loss per dataset in each window of ``every`` steps in (after, through], as (last step, means).

        Windows without a finite loss are left out.
        """
        self._queries.read(self._log.files())
        windows: defaultdict[int, dict[str, float]] = defaultdict(dict)
        for step, dataset, mean in self._queries.rows("recent", after=after, through=through, every=every):
            windows[step][dataset] = mean
        return sorted(windows.items())

    def advance(self, through: int) -> None:
        """Bring every figure up to step ``through``; the other methods then answer for the steps up to it."""
        self._queries.read(self._log.files())
        if through < self._closed or self._carried() != self._count_through(self._closed):
            self._forget()
            self._edges_stay = self.timestep_scale is not None
        if not self._edges_stay:
            self._decide_edges(through)
        boundary = through - through % self._block_steps
        if boundary > self._closed:
            self._fold("closed", after=self._closed, through=boundary)
            self._closed = boundary
        if through > boundary:
            self._fold("open", after=boundary, through=through)
        shown = "open" if through > boundary else "closed"
        for name in _STATE:
            self._queries.view(name, f"FROM {shown}_{name}")
        self._queries.view("item_statistics", sql("item_statistics"))
        decided = self._queries.value("SELECT count(*) FROM item_statistics WHERE decided")
        self._middles: Literal["exact", "binned"] = "exact" if decided <= _EXACT_ITEMS else "binned"
        self._queries.table("middles", sql("middles" if self._middles == "exact" else "middles_binned"))
        self._queries.table("paired_items", sql("paired_items"))
        self.unjudged = judge_items(self._queries)
        self._queries.view(
            "peaks",
            "SELECT dataset, path, coalesce(highest_caption, caption, '') AS caption, highest AS loss, "
            "highest_step AS step, highest_timestep AS timestep FROM items WHERE n > 0",
        )
        self._through = through

    def milestones(self, first: int) -> list[tuple[int, int]]:
        """Steps up to which there are ``first`` records or a few times as many, four times as many, and so on to the
        last one; and how many.

        Who advances from one to the next has figures early, and pays for all of them a third more.
        """
        self._queries.read(self._log.files())
        return [(step, records) for step, records in self._queries.rows("milestones", first=first)]

    def summaries(self, top_k: int) -> dict[str | None, Summary]:
        """Figures per dataset, and under None over all of them."""
        curves = self._timestep_curves()
        summaries = _summaries(self._queries, self._through, top_k, with_bins=True)
        return {
            name: msgspec.structs.replace(summary, loss_by_timestep=curves.get(name))
            for name, summary in (summaries or {None: _empty_summary()}).items()
        }

    def timesteps_outside(self) -> tuple[int, float, float] | None:
        """How many timesteps lie outside the bins, and where those begin and end; None where that is as it should be.

        Outside a stated scale is none. Where the first timesteps made the bins, a few later ones are lower or higher;
        more than would fill a bin say that the timesteps have changed.
        """
        outside, known = self._queries.rows("timesteps_outside")[0]
        if self._edges is None or outside <= (0 if self.timestep_scale is not None else known / MOST_BINS):
            return None
        return outside, self._edges[0], self._edges[-1]

    def worst_hard(self, k: int) -> list[WorstItem]:
        """The ``k`` items whose loss is highest for their timestep and time of training."""
        return [WorstItem(*row) for row in self._queries.rows("worst_hard", k=k)]

    def worst_caption_mismatch(self, k: int) -> list[WorstItem]:
        """The ``k`` items, of 4 paired records or more, whose caption helps least against the empty one.

        Those whose caption is very likely wrong come first, then those to look at.
        """
        return [WorstItem(*row) for row in self._queries.rows("worst_caption_mismatch", k=k)]

    def paired_items(self) -> dict[str, PairedItems]:
        """For how many items of each dataset caption_mismatch is decided, and where those lie."""
        rows = self._queries.table_rows("paired_items")
        return {name: PairedItems(*[*figures, self._middles]) for name, *figures in rows}

    def verdicts(self) -> dict[str, Verdicts]:
        """How many items of each dataset have which verdict; nothing where no caption was compared."""
        return {name: Verdicts(*counts) for name, *counts in self._queries.rows("verdict_counts")}

    def distinct_captions(self) -> dict[str, int]:
        """About how many different captions each dataset has, within a few percent."""
        return dict(self._queries.rows("distinct_captions"))

    def count_items(self) -> int:
        """How many items there are."""
        return int(self._queries.value("SELECT count(*) FROM items"))

    def items(self) -> Iterator[pa.RecordBatch]:
        """Every item's dataset, path and the figures of `ItemStats`, by dataset."""
        return self._queries.batches("items_by_dataset", rows=2_048)

    def keep_items(self, name: str) -> None:
        """Keep the figures of every item, as they are now, as the table ``name``, for `cursor`."""
        self._queries.table(name, sql("items_by_dataset"))

    def forget_items(self, name: str) -> None:
        """Drop what `keep_items` kept."""
        self._queries.drop(name)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same tables, for another thread."""
        return self._queries.cursor()

    def captions(self, config: CaptionConfig, decisions: Decisions) -> CaptionStatistics:
        """What the caption rules say about the same records; `advance` moves it on, too."""
        from loss_logging.statistics.captions import CaptionStatistics

        return CaptionStatistics(self._queries, self._log, config, decisions)

    def _fold(self, target: str, after: int, through: int) -> None:
        nothing_carried = self._carried() == 0
        for name in _STATE:
            sums = f"{target}_{name}" if nothing_carried else f"new_{name}"
            if name == "items":
                _sum_items(self._queries, sums, self._log.files(), after=after, through=through)
            else:
                self._queries.table(sums, sql(name), after=after, through=through)
            if not nothing_carried:
                self._queries.table(f"{target}_{name}", sql(f"merge_{name}"))
                self._queries.drop(sums)

    def _forget(self) -> None:
        """Start from nothing carried."""
        self._queries.table("baseline", sql("baseline"), after=0, through=-1)
        for name in _STATE:
            self._queries.table(f"closed_{name}", sql(name), after=0, through=-1)
        self._closed = -1

    def _carried(self) -> int:
        return int(self._queries.value("SELECT coalesce(sum(count), 0) FROM closed_cells"))

    def _count_through(self, step: int) -> int:
        return int(self._queries.value("SELECT count(*) FROM records WHERE step <= $step", step=step))

    def _decide_edges(self, through: int) -> None:
        """Make timestep bins of the first timesteps, and anew when there are more, until there are enough."""
        carried = self._queries.value("SELECT count(*) FROM closed_cells WHERE timestep_bin >= 0")
        after = -1 if carried else self._closed
        edges, stay = first_timesteps(self._queries, self._block_steps, after, through)
        if carried and edges != self._edges:
            self._forget()
        self._place(edges, stay=stay)

    def _place(self, edges: list[float] | None, *, stay: bool) -> None:
        if edges is not None:
            self._queries.place_timesteps(edges)
        self._edges, self._edges_stay = edges, stay

    def _timestep_curves(self) -> dict[str | None, TimestepCurve]:
        edges = self._edges or []
        counts: defaultdict[str | None, list[int]] = defaultdict(lambda: [0] * (len(edges) - 1))
        means: defaultdict[str | None, list[float | None]] = defaultdict(lambda: [None] * (len(edges) - 1))
        for dataset, place, n, mean in self._queries.rows("timestep_curves"):
            counts[dataset][place] = n
            means[dataset][place] = mean
        return {name: TimestepCurve(edges, counts[name], means[name]) for name in counts}


def item_history(
    log: RecordLog,
    items: Iterable[tuple[str, str]],
    most: int,
    *,
    through: int | None = None,
    memory_limit: str = "1GB",
    threads: int = 1,
) -> pa.Table:
    """The records of the items given as (dataset, path): step, timestep, loss, loss_empty, by item and step.

    Only those up to step ``through``, where it is given. Of an item with more than ``most`` records so many are taken,
    spread evenly; the column ``of`` says how many it has. Reads those columns of the whole log once. A damaged shard is
    left out.
    """
    wanted = sorted(set(items))
    columns = [pa.array([item[i] for item in wanted], pa.string()) for i in (0, 1)]
    with Queries(memory_limit, threads) as queries:
        queries.insert("wanted", pa.Table.from_arrays(columns, ["dataset", "path"]))
        try:
            queries.read(log.files())
            return queries.arrow("item_history", most=most, through=FOREVER if through is None else through)
        except duckdb.Error:
            log.leave_out_damaged()  # or a shard was compacted since it was listed: then listing again is enough
            queries.read(log.files())
            return queries.arrow("item_history", most=most, through=FOREVER if through is None else through)


def suspects(records: pa.Table) -> set[tuple[str, str]]:
    """Dataset and path of the items whose losses say that something is wrong: see ``sql/item_statistics.sql``."""
    if len(records) < _FEWEST_FOR_SUSPECTS and records["loss_empty"].null_count == len(records):
        return set()
    with Queries(block_steps=_BLOCK_STEPS) as queries:
        queries.read(records)
        if (edges := first_timesteps(queries, _BLOCK_STEPS, after=-1, through=FOREVER)[0]) is not None:
            queries.place_timesteps(edges)
        _sum_items(queries, "items", records, after=-1, through=FOREVER)
        queries.view("item_statistics", sql("item_statistics"))
        return set(queries.rows("suspects"))


def _sum_items(queries: Queries, table: str, source: pa.Table | Sequence[Path], **steps: int) -> None:
    """Make the table of partial sums per item over the steps (after, through] of ``source``, which the queries read.

    Records that make several parts are written out by item first, and each part is summed by itself: by the same query,
    over the same records of an item, in memory that does not grow with the log, at two readings of it.
    """
    queries.table("baseline", sql("baseline"), **steps)
    parts = parts_of(queries.count(**steps))
    if parts <= 1:
        queries.table(table, sql("items"), **steps)
        return
    queries.table(table, sql("items"), after=0, through=-1)
    try:
        with queries.divided(parts, **steps) as divided:
            for shards in divided:
                queries.read(shards)
                queries.extend(table, sql("items"), **steps)
    finally:
        queries.read(source)


def _summaries(queries: Queries, through: int, top_k: int, *, with_bins: bool) -> dict[str | None, Summary]:
    """The figures of every dataset, from the tables ``cells`` and ``peaks`` (and ``bins``)."""
    rows = queries.rows("summaries")
    fine = _fine_bins(queries) if with_bins else {}
    found = _quantiles(queries, through, rows, fine)
    top = _top_k(queries, top_k, rows)
    return {
        name: Summary(
            count=count,
            mean=_finite(mean),
            median=found[name][2] if n else None,
            min=lowest,
            max=highest,
            std=_finite(std),
            non_finite=count - n,
            quantiles=dict(zip(map(str, QUANTILES), found.get(name) or _NO_QUANTILES, strict=True)),
            quantile_method="binned" if name in fine and n > _EXACT_RECORDS else "exact",
            histogram=bins.histogram(*fine[name], lowest, highest) if name in fine else None,
            top_k=top.get(name, []),
        )
        for name, count, n, mean, lowest, highest, std in rows
    }


def _quantiles(
    queries: Queries, through: int, rows: list[tuple[Any, ...]], fine: Mapping[str | None, tuple[Any, Any]]
) -> Mapping[str | None, list[float]]:
    """Quantiles of the finite losses of every dataset, and over all; those of many losses from the bins in ``fine``."""
    sizes: dict[str | None, int] = {name: n for name, _, n, *_ in rows}
    if not fine or sizes[None] <= _EXACT_RECORDS:
        return dict(queries.rows("quantiles", through=through))
    found = {
        name: bins.quantiles(*fine[name], QUANTILES, lowest, highest)
        for name, _, n, _, lowest, highest, _ in rows
        if n > _EXACT_RECORDS
    }
    waiting = {name: n for name, n in sizes.items() if 0 < n <= _EXACT_RECORDS}
    while waiting:  # as many datasets at once as may be sorted
        together = itertools.accumulate(waiting.values())
        names = [name for name, total in zip(waiting, together, strict=True) if total <= _EXACT_RECORDS]
        found |= dict(queries.rows("quantiles_of", through=through, datasets=names))
        waiting = {name: n for name, n in waiting.items() if name not in names}
    return found


def _empty_summary() -> Summary:
    return Summary(0, None, None, None, None, None, 0, dict.fromkeys(map(str, QUANTILES)))


def _finite(value: float | None) -> float | None:
    """None for a figure that overflowed: losses near 1e308 are finite, the sum of two is not."""
    return value if value is not None and math.isfinite(value) else None


def _top_k(queries: Queries, k: int, summaries: list[tuple[Any, ...]]) -> dict[str | None, list[TopRecord]]:
    """The items with the highest losses; looks at a few candidates first, at all records where those repeat items."""
    if k == 0 or not summaries:
        return {}
    candidates = min(2 * k, _MAX_CANDIDATES)
    top = _group_top(queries.rows("top_k", k=k, candidates=candidates))
    finite = {name: n for name, _, n, *_ in summaries}
    if any(len(top.get(name, [])) < k and n > candidates for name, n in finite.items() if name is not None):
        top = _group_top(queries.rows("top_k", k=k, candidates=None))
    everywhere = [(record.loss, name or "", record) for name, records in top.items() for record in records]
    everywhere.sort(key=lambda entry: (-entry[0], entry[1], entry[2].path))
    top[None] = [record for *_, record in everywhere[:k]]
    return top


def _group_top(rows: list[tuple[Any, ...]]) -> dict[str | None, list[TopRecord]]:
    top: defaultdict[str | None, list[TopRecord]] = defaultdict(list)
    for dataset, *record in rows:
        top[dataset].append(TopRecord(*record))
    return dict(top)


def _fine_bins(queries: Queries) -> dict[str | None, tuple[Any, Any]]:
    """Ascending fine bins and their counts, per dataset and over all."""
    grouped: defaultdict[str | None, list[tuple[int, int]]] = defaultdict(list)
    for dataset, place, n in queries.rows("bins_by_dataset"):
        grouped[dataset].append((place, n))
    return {name: tuple(np.array(pairs, np.int64).T) for name, pairs in grouped.items()}
