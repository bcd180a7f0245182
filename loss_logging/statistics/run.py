"""RunStatistics: all figures of a run, from SQL files that DuckDB runs over its log.

`aggregate_by_dataset` has the same figures of records that are in memory, or of a whole log at once.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
import pyarrow as pa

from loss_logging.records.log import RecordLog
from loss_logging.reports.item_texts import ROWS_OF_TEXT, select_texts, texts_of
from loss_logging.reports.report import ItemStats, PairedItems, Summary, TimestepCurve, Verdicts, WorstItem
from loss_logging.runs.config import TrainConfig
from loss_logging.statistics.items import add_items, sum_items
from loss_logging.statistics.losses import empty_summary
from loss_logging.statistics.queries import Queries, sql
from loss_logging.statistics.summaries import summaries_of
from loss_logging.statistics.timestep_bins import MOST_BINS, are_of_two_scales, bins_of_scale, first_timesteps
from loss_logging.statistics.verdicts import SeenFile, judge_items

__all__ = ["RunStatistics"]

_EXACT_ITEMS = 2_000_000
"""Up to this number of items with a caption_mismatch, its medians are exact; beyond it, values are rounded first."""
_FEW_ITEMS = 10_000
"""Up to this number, figures of items are kept as a table: to plan a query over them takes longer than to read them."""
_STATE = ("cells", "bins", "items")
_MAY_OVERFLOW = ("picture_odds", "loss_odds")
"""Figures of items that may be infinite; SQL makes all others NULL."""


class RunStatistics:
    """The statistics of one run, over a growing log.

    Sums per item, per dataset and per loss bin are carried forward. The cost of a save step therefore depends on the
    new records and the shown figures, not on the length of the run. Sums are carried in complete blocks of
    ``block_steps`` steps; the rows of the last, incomplete block are read from the log each time. The figures therefore
    do not depend on the time of the call. If earlier parts of the log change (a resumed run, late records), all sums
    are computed anew.

    Args:
        log: the run's records.
        block_steps: the number of steps that `hard` standardises over.
        timestep_scale: the last timestep of a scale from 0 with bins of equal width; None makes bins from the first
            timesteps, see `loss_logging.statistics.timestep_bins`.
        memory_limit, threads, spill_folder: limits for DuckDB, and the folder for data that do not fit into memory.
        rivals_file: where it may stand what pictures say of captions; see `Rivals.save`.
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
        rivals_file: Path | None = None,
    ) -> None:
        self._log = log
        self._seen = SeenFile(rivals_file)
        self._block_steps = block_steps
        self.timestep_scale = timestep_scale
        self.queries = Queries(memory_limit, threads, spill_folder, block_steps)
        """The queries with the tables of the last step of `advance`; for `CaptionStatistics`."""
        self._edges: list[float] | None = None
        self._edges_stay = False
        if timestep_scale is not None:
            self._place(bins_of_scale(timestep_scale), stay=True)
        self._closed = -1
        self._through = -1
        self._decided = 0
        self.folders: set[str] = set()
        """The folders of all items; "" for the folder that relative paths begin in."""
        self.unjudged: list[str] = []
        """Sentences on verdicts that were not possible."""
        self._forget()

    @classmethod
    def of(cls, config: TrainConfig, log: RecordLog, spill_folder: Path | None = None) -> RunStatistics:
        """The statistics of the run with this configuration.

        Args:
            config: the configuration of the run, with its present folder.
            log: the run's records.
            spill_folder: the folder for data that do not fit into memory; None for a temporary folder.
        """
        return cls(
            log,
            block_steps=config.save_every,
            timestep_scale=config.timestep_scale,
            memory_limit=config.memory_limit,
            threads=config.threads,
            spill_folder=spill_folder,
            rivals_file=config.rivals_file,
        )

    def close(self) -> None:
        """Give the memory back."""
        self.queries.__exit__()

    def recent(self, after: int, through: int, every: int) -> list[tuple[int, dict[str, float]]]:
        """Mean loss per dataset in each window of ``every`` steps in (after, through], as (last step, means).

        Windows without a finite loss are left out.
        """
        self.queries.read(self._log.files())
        windows: defaultdict[int, dict[str, float]] = defaultdict(dict)
        for step, dataset, mean in self.queries.rows("recent", after=after, through=through, every=every):
            windows[step][dataset] = mean
        return sorted(windows.items())

    def advance(self, through: int) -> None:
        """Compute all figures up to step ``through``; the other methods then refer to the steps up to it."""
        self.queries.read(self._log.files())
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
            self.queries.view(name, f"FROM {shown}_{name}")
        few = self.count_items() <= _FEW_ITEMS
        self.queries.derive("item_statistics", sql("item_statistics"), keep=few)
        self._decided = int(self.queries.value("SELECT count(*) FROM item_statistics WHERE decided"))
        self._middles: Literal["exact", "binned"] = "exact" if self._decided <= _EXACT_ITEMS else "binned"
        self.queries.table("middles", sql("middles" if self._middles == "exact" else "middles_binned"))
        self.queries.table("paired_items", sql("paired_items"))
        self.unjudged = judge_items(self.queries, self._seen.read())
        # Joins leave rows in any order: few are sorted, and a million would take a second for it.
        self.queries.derive("judged", sql("judged") + "ORDER BY dataset, path" * few, keep=few)
        self.queries.view(
            "peaks",
            "SELECT dataset, path, coalesce(highest_caption, caption, '') AS caption, highest AS loss, "
            "highest_step AS step, highest_timestep AS timestep FROM items WHERE n > 0",
        )
        self._through = through

    def milestones(self, first: int) -> list[tuple[int, int]]:
        """The last step, a step with an eighth of its records, and so on down to about ``first`` records; in order of
        steps, each with its number of records.

        Advancing in these steps shows early figures and costs a sixth more in total.
        """
        self.queries.read(self._log.files())
        return [(step, records) for step, records in self.queries.rows("milestones", first=first)]

    def summaries(self, top_k: int) -> dict[str | None, Summary]:
        """Figures per dataset, and under None over all datasets."""
        curves = self._timestep_curves()
        summaries = summaries_of(self.queries, self._through, top_k)
        return {
            name: msgspec.structs.replace(summary, loss_by_timestep=curves.get(name))
            for name, summary in (summaries or {None: empty_summary()}).items()
        }

    def timesteps_outside(self) -> tuple[int, float, float] | None:
        """The number of timesteps outside the bins, and the lowest and highest edge of the bins; None if it is normal.

        With a stated scale, any timestep outside is reported. With bins from the first timesteps, a few later ones are
        lower or higher; more of them than in a bin mean that the timesteps have changed.
        """
        outside, known = self.queries.rows("timesteps_outside")[0]
        if self._edges is None or outside <= (0 if self.timestep_scale is not None else known / MOST_BINS):
            return None
        return outside, self._edges[0], self._edges[-1]

    def timesteps_are_mixed(self) -> bool:
        """Whether the first timesteps are of two scales, so that one curve shows two things."""
        return self.timestep_scale is None and self._edges is not None and are_of_two_scales(self._edges)

    def worst_hard(self, k: int) -> list[WorstItem]:
        """The ``k`` items with the highest loss for their timestep and time of training."""
        return [WorstItem(*row) for row in self.queries.rows("worst_hard", k=k)]

    def worst_caption_mismatch(self, k: int) -> list[WorstItem]:
        """The ``k`` items with the highest caption_mismatch, among items with 4 pairs or more.

        Items with a very likely wrong caption come first, then items to look at.
        """
        if not self._decided and not self.queries.value("SELECT count(*) FROM verdicts WHERE bin < 2"):
            return []
        return [WorstItem(*row) for row in self.queries.rows("worst_caption_mismatch", k=k)]

    def paired_items(self) -> dict[str, PairedItems]:
        """The number of items of each dataset with a decided caption_mismatch, and the distribution of its values."""
        rows = self.queries.table_rows("paired_items")
        return {name: PairedItems(*[*figures, self._middles]) for name, *figures in rows}

    def verdicts(self) -> dict[str, Verdicts]:
        """The number of items of each dataset by verdict; empty if no caption was compared."""
        if not self.queries.value("SELECT bool_or(n_paired > 0) OR (SELECT count(bin) > 0 FROM verdicts) FROM items"):
            return {}
        return {name: Verdicts(*counts) for name, *counts in self.queries.rows("verdict_counts")}

    def distinct_captions(self) -> dict[str, int]:
        """The approximate number of different captions of each dataset, to within a few percent."""
        return dict(self.queries.rows("distinct_captions"))

    def count_items(self) -> int:
        """How many items there are."""
        return int(self.queries.value("SELECT count(*) FROM items"))

    def items(self, *, by_dataset: bool = True) -> Iterator[pa.RecordBatch]:
        """Dataset, path and the figures of `ItemStats` of each item, by dataset or, which is faster, in no order."""
        return self.queries.batches(self._by_dataset() if by_dataset else sql("item_figures"), rows=2_048)

    def item_texts(self) -> Iterator[tuple[str, bytes]]:
        """The figures of `items` as the text of JSON, for `write_report`."""
        none = {name for (name,) in self.queries.rows("fields_of_none")}
        held = [name for name in ItemStats.__struct_fields__ if name not in none]
        select = select_texts(held, f"({self._by_dataset()})", _MAY_OVERFLOW)
        return itertools.chain.from_iterable(map(texts_of, self.queries.batches(select, rows=ROWS_OF_TEXT)))

    def rival_items(self, most: int) -> pa.Table:
        """Dataset, path and caption of at most so many items, to find rivals for."""
        return self.queries.arrow("rival_items", most=most)

    def keep_items(self, name: str) -> None:
        """Store the present figures of all items as the table ``name``, for `cursor`."""
        self.queries.table(name, self._by_dataset())

    def forget_items(self, name: str) -> None:
        """Drop a table of `keep_items`."""
        self.queries.drop(name)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A separate connection to the same tables, for another thread."""
        return self.queries.cursor()

    def _by_dataset(self) -> str:
        """The SQL of all items' figures, by dataset; to sort those of one would take a sixth of a save step."""
        several = int(self.queries.value("SELECT count(*) FROM paired_items")) > 1
        return sql("item_figures") + " ORDER BY dataset" * several

    def _fold(self, target: str, after: int, through: int) -> None:
        """Add the sums over the steps (after, through] to those that are carried."""
        carried = self._carried() > 0
        with self.queries.at_hand(after=after, through=through):
            for name in _STATE:
                self._sum(name, f"new_{name}" if carried else f"{target}_{name}", after=after, through=through)
        for name in _STATE if carried else ():
            if name == "items":
                add_items(self.queries, f"{target}_items")
            else:
                self.queries.table(f"{target}_{name}", sql(f"merge_{name}"))
            self.queries.drop(f"new_{name}")

    def _sum(self, name: str, table: str, **steps: int) -> None:
        if name != "items":
            self.queries.table(table, sql(name), **steps)
            return
        sum_items(self.queries, table, **steps)
        self.queries.view("new_paths", f"SELECT path FROM {table}")
        self.folders.update(folder for (folder,) in self.queries.rows("folders"))

    def _forget(self) -> None:
        """Drop all carried sums."""
        self.queries.table("closed_cells", sql("cells"), after=0, through=-1)
        self.queries.drop("closed_bins", "closed_items")
        self.folders.clear()
        self._closed = -1

    def _carried(self) -> int:
        return int(self.queries.value("SELECT coalesce(sum(count), 0) FROM closed_cells"))

    def _count_through(self, step: int) -> int:
        return int(self.queries.value("SELECT count(*) FROM records WHERE step <= $step", step=step))

    def _decide_edges(self, through: int) -> None:
        """Make timestep bins from the first timesteps, and again from more of them, until there are enough."""
        carried = self.queries.value("SELECT count(*) FROM closed_cells WHERE timestep_bin >= 0")
        after = -1 if carried else self._closed
        edges, stay = first_timesteps(self.queries, self._block_steps, after, through)
        if carried and edges != self._edges:
            self._forget()
        self._place(edges, stay=stay)

    def _place(self, edges: list[float] | None, *, stay: bool) -> None:
        if edges is not None:
            self.queries.place_timesteps(edges)
        self._edges, self._edges_stay = edges, stay

    def _timestep_curves(self) -> dict[str | None, TimestepCurve]:
        edges = self._edges or []
        counts: defaultdict[str | None, list[int]] = defaultdict(lambda: [0] * (len(edges) - 1))
        means: defaultdict[str | None, list[float | None]] = defaultdict(lambda: [None] * (len(edges) - 1))
        for dataset, place, n, mean in self.queries.rows("timestep_curves"):
            counts[dataset][place] = n
            means[dataset][place] = mean
        return {name: TimestepCurve(edges, counts[name], means[name]) for name in counts}
