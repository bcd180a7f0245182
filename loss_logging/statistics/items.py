"""The sums of each item over some steps of a log, and the items with suspect losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from loss_logging.records.log import FOREVER
from loss_logging.statistics.queries import Queries, parts_of, sql
from loss_logging.statistics.timestep_bins import first_timesteps

__all__ = ["add_items", "sum_items", "suspects"]

_FEWEST_FOR_SUSPECTS = 28
"""With fewer items, `hard` is below 1: n of N losses are at most sqrt(N / n - 1) standard deviations above the mean."""
_MOST_HELD = 1.25
"""Rows in memory for each item, those that were replaced included."""
_BLOCK_STEPS = 250
"""The number of steps that losses are standardised over without a run: the default of ``save_every``."""


def sum_items(queries: Queries, table: str, **steps: int) -> None:
    """Make the table of partial sums per item over the steps (after, through] of the queries' records.

    Records of several parts are first written out by item, and each part is summed by itself with the same query. The
    sums are the same, memory does not grow with the log, and the log is read twice.
    """
    queries.table("baseline", sql("baseline"), **steps)
    parts = parts_of(queries.count(**steps))
    if parts <= 1:
        with _sums(queries, **steps):
            queries.table(table, sql("items"), **steps)
        return
    _no_items(queries, table)
    with queries.divided(parts, **steps) as divided:
        for shards in divided:
            with queries.reading(shards), _sums(queries, **steps):
                queries.extend(table, sql("items"), **steps)


def _no_items(queries: Queries, table: str) -> None:
    """Make the table with the columns of `sum_items` and no rows."""
    nothing = {"after": 0, "through": -1}
    with _sums(queries, **nothing):
        queries.table(table, sql("items"), **nothing)


def add_items(queries: Queries, table: str) -> None:
    """Make ``table`` of the sums in ``closed_items`` and ``new_items``; in the former, few rows are written.

    What they replace keeps its memory. When that would be more than a quarter of the rest, the table is made anew.
    """
    items, new = (int(queries.value(f"SELECT count(*) FROM {name}")) for name in ("closed_items", "new_items"))
    if table != "closed_items" or queries.held_rows("closed_items") + new > _MOST_HELD * items:
        queries.view("carried_items", "FROM closed_items")
        queries.table(table, sql("merge_items"))
        return
    queries.view("carried_items", "FROM closed_items SEMI JOIN new_items USING (item, item_again)")
    queries.table("merged_items", sql("merge_items"))
    queries.overwrite("closed_items", "merged_items", ("item", "item_again"))
    queries.drop("merged_items")


@contextmanager
def _sums(queries: Queries, **steps: int) -> Iterator[None]:
    """Provide the sums by item, still without texts, and the captions of the highest losses."""
    queries.table("item_sums", sql("item_sums"), **steps)
    apart = queries.value("SELECT count(highest_row) FROM item_sums WHERE highest_row IS DISTINCT FROM caption_row")
    queries.table("item_peaks", sql("item_peaks"), **steps if apart else {"after": 0, "through": -1})
    try:
        yield
    finally:
        queries.drop("item_sums", "item_peaks")


def suspects(records: pa.Table) -> set[tuple[str, str]]:
    """Dataset and path of the items with suspect losses: see ``sql/item_statistics.sql``."""
    if len(records) < _FEWEST_FOR_SUSPECTS and records["loss_empty"].null_count == len(records):
        return set()
    with Queries(block_steps=_BLOCK_STEPS) as queries:
        queries.read(records)
        if (edges := first_timesteps(queries, _BLOCK_STEPS, after=-1, through=FOREVER)[0]) is not None:
            queries.place_timesteps(edges)
        sum_items(queries, "items", after=-1, through=FOREVER)
        queries.view("item_statistics", sql("item_statistics"))
        return set(queries.rows("suspects"))
