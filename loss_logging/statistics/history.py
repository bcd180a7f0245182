"""item_history: the records of a few items of a log."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from loss_logging.records.log import FOREVER, RecordLog
from loss_logging.statistics.queries import Queries

__all__ = ["history_of", "item_history"]


def item_history(
    log: RecordLog,
    items: Iterable[tuple[str, str]],
    most: int,
    *,
    through: int | None = None,
    memory_limit: str = "1GB",
    threads: int = 1,
) -> pa.Table:
    """The records of items, given as (dataset, path): step, timestep, loss, loss_empty, by item and step.

    With ``through``, only records up to that step. From an item with more than ``most`` records, ``most`` of them are
    taken at even distances; the column ``of`` is the number of all its records. These columns of the log are read once.
    A damaged shard is left out.
    """
    through = FOREVER if through is None else through
    with Queries(memory_limit, threads) as queries:
        try:
            queries.read(log.files())
            return history_of(queries, items, most, through)
        except duckdb.Error:
            log.leave_out_damaged()  # or a shard was compacted after the listing, and a new listing is enough
            queries.read(log.files())
            return history_of(queries, items, most, through)


def history_of(queries: Queries, items: Iterable[tuple[str, str]], most: int, through: int) -> pa.Table:
    """`item_history` of the records that the queries read.

    Raises:
        duckdb.Error: a shard is damaged, or was compacted in the meantime.
    """
    wanted = sorted(set(items))
    columns = [pa.array([item[i] for item in wanted], pa.string()) for i in (0, 1)]
    queries.replace("wanted", pa.Table.from_arrays(columns, ["dataset", "path"]))
    return queries.arrow("item_history", most=most, through=through)
