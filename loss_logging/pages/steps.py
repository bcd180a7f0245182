"""The figures of all items at earlier save steps, for the page's choice of a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.pages.charts import spread
from loss_logging.pages.item_counts import ItemCounts, count_items
from loss_logging.pages.items import columns_of, figures_block
from loss_logging.pages.render import Packed, packed
from loss_logging.reports.artifact import ReportError
from loss_logging.reports.items import ITEM_SCHEMA, read_items
from loss_logging.reports.report import LossReport
from loss_logging.support.progress_bar import progress_bar

__all__ = ["EarlierSteps"]

MOST_ROWS = 60_000
"""The largest number of items times earlier save steps in a page; the table of a further step needs its own page."""


class EarlierSteps:
    """Reads the items of earlier save steps, each report once, as far as a page has room for them.

    Args:
        progress: show a progress bar.
    """

    def __init__(self, *, progress: bool = False) -> None:
        self._progress = progress
        self._tables: dict[int, pa.Table] = {}
        self._counts: dict[int, ItemCounts] = {}
        self._held: dict[int, list[pa.RecordBatch]] = {}
        self._keys: pa.Table | None = None
        self._blocks: dict[int, tuple[pa.Table, Packed, Packed]] = {}

    def held(self, step: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The items of the last save step as they pass, kept for the next page where there is room for them."""
        held: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            if 2 * rows <= MOST_ROWS:
                held.append(batch)
            yield batch
        if 2 * rows <= MOST_ROWS:
            self._held[step] = held

    def keep(self, step: int, counts: ItemCounts) -> None:
        """Store the counts of a save step, also if its items are not kept."""
        self._counts[step] = counts

    def counts(self, step: int) -> ItemCounts | None:
        """The counts over the items of a save step; None if it was never read."""
        return self._counts.get(step)

    def read(self, reports: Sequence[LossReport], rows: int) -> None:
        """Read the items of earlier reports, of as many as there is room for."""
        most = MOST_ROWS // max(1, rows)
        chosen = reports if len(reports) <= most else spread(reports, most) if most > 1 else []
        self._tables = {step: table for step, table in self._tables.items() if step in {r.job.step for r in chosen}}
        unread = [report for report in chosen if report.job.step not in self._tables]
        for report in progress_bar("earlier save steps", unread, unit=" reports", shown=self._progress):
            try:
                held = self._held.get(report.job.step) or read_items(Path(report.json_path or ""))
                batches = [batch.cast(ITEM_SCHEMA) for batch in held]
            except (ReportError, OSError):
                continue  # without its items, only the lists of the report remain
            if batches:
                self._tables[report.job.step] = pa.Table.from_batches(batches)
                self._counts[report.job.step] = count_items(batches)
        self._held = {step: held for step, held in self._held.items() if step not in {r.job.step for r in reports}}

    def blocks(self, shown: pa.Table) -> dict[int, tuple[Packed, Packed]]:
        """The blocks of `_step_blocks` of each earlier save step, packed; those of the page before where the shown rows
        are the same."""
        keys = shown.select(["dataset", "path"])
        if self._keys is None or keys != self._keys:
            self._keys, self._blocks = keys, {}
        known = self._blocks
        self._blocks = {
            step: known[step] if step in known and known[step][0] is table else (table, *_packed_blocks(shown, table))
            for step, table in self._tables.items()
        }
        return {step: (integers, figures) for step, (_, integers, figures) in self._blocks.items()}


def _packed_blocks(shown: pa.Table, earlier: pa.Table) -> tuple[Packed, Packed]:
    integers, figures = _step_blocks(shown, earlier)
    return packed(integers), packed(figures)


def _step_blocks(shown: pa.Table, earlier: pa.Table) -> tuple[dict[str, Any], bytes]:
    """The figures of an earlier save step in the order of the shown rows: integers as plain data by column, others as
    `figures_block`. None and NaN mean that the item had no records yet."""
    places = {key: i for i, key in enumerate(zip(*_keys(earlier), strict=True))}
    order = pa.array([places.get(key) for key in zip(*_keys(shown), strict=True)], pa.int64())
    aligned = pa.table(
        {
            column.name: earlier[column.name].take(order)
            if column.name in earlier.column_names
            else pa.nulls(shown.num_rows, pa.float64())
            for column in columns_of(shown.schema)
            if column.kind != "text"
        }
    )
    typed = pa.table({name: pc.cast(aligned[name], shown.schema.field(name).type) for name in aligned.column_names})
    integers = {c.name: typed[c.name].to_pylist() for c in columns_of(typed.schema) if c.kind == "integer"}
    return msgspec.to_builtins(integers), figures_block(typed)


def _keys(table: pa.Table) -> tuple[list[Any], list[Any]]:
    return table["dataset"].to_pylist(), table["path"].to_pylist()
