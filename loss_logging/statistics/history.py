"""item_history: the records of a few items of a log."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from loss_logging.records.log import FOREVER, RecordLog
from loss_logging.statistics.queries import Queries

__all__ = ["item_history"]


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
    wanted = sorted(set(items))
    columns = [pa.array([item[i] for item in wanted], pa.string()) for i in (0, 1)]
    with Queries(memory_limit, threads) as queries:
        queries.insert("wanted", pa.Table.from_arrays(columns, ["dataset", "path"]))
        try:
            queries.read(log.files())
            return queries.arrow("item_history", most=most, through=FOREVER if through is None else through)
        except duckdb.Error:
            log.leave_out_damaged()  # or a shard was compacted after the listing, and a new listing is enough
            queries.read(log.files())
            return queries.arrow("item_history", most=most, through=FOREVER if through is None else through)
