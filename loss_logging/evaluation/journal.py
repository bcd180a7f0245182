"""Journal: what an evaluation has computed so far, on disk, so that an interrupted one goes on where it was."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loss_logging.evaluation.selection import Item
from loss_logging.records.columns import SCHEMA, completed, table_from_records
from loss_logging.records.log import SHARD_ROWS, RecordLog, write_shard
from loss_logging.records.record import SampleRecord
from loss_logging.records.shards import read_shards
from loss_logging.support.database import connect
from loss_logging.support.files import whole_file
from loss_logging.support.warn import LOGGER

__all__ = ["Journal", "table_of_draw"]

_ORDER = "dataset, path, step, timestep, loss, loss_empty, caption, loss_rival, rival"

_PATIENCE = 0.01
"""Share of the time spent so far that an interruption may cost; it keeps the number of files small."""


class Journal:
    """The records of an evaluation in the order in which they were computed; each is of an item and a draw.

    They are in a `RecordLog` of their own, whose steps are the draws. It is continued when it is of the same arguments,
    and cleared otherwise.

    Args:
        folder: where it is; made if need be. One process uses it at a time.
        arguments: what the records depend on, as plain data.
        resume: False clears what is there.
        flush_seconds: how long records may wait in memory; up to a hundredth of the time spent so far in any case.
        memory_limit: most memory that sorting may use; more goes to the disk.
    """

    def __init__(
        self, folder: Path, arguments: Mapping[str, Any], *, resume: bool, flush_seconds: float, memory_limit: str
    ) -> None:
        self._folder = folder
        self._flush_seconds = flush_seconds
        self._memory_limit = memory_limit
        self._began = self._written = time.monotonic()
        self._held: list[pa.Table] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._log = RecordLog(folder)
        self._log.clean()
        if not resume or not self._continues(arguments):
            self._log.truncate(-1)
        with whole_file(folder / "arguments.json") as file:
            file.write(msgspec.json.encode(arguments))
        self._old = self._log.files()
        self._left: dict[Item, tuple[int, ...]] | None = None if self._old else {}
        self._had: dict[Item, tuple[int, ...]] = {}
        self._by_dataset = False

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.write()

    def finished_items(self, draws: int) -> int:
        """How many items are there with all their ``draws``, the last of which is computed last."""
        steps = [pq.read_table(path, columns=["step"])["step"] for path in self._old]
        return sum(int(pc.sum(pc.equal(step, draws - 1)).as_py() or 0) for step in steps)

    def finished(self) -> Iterator[tuple[str, str, int]]:
        """Dataset, path and draw of each record that an interrupted evaluation has computed."""
        for file in self._old:
            for batch in pq.ParquetFile(file).iter_batches(columns=["dataset", "path", "step"]):
                yield from zip(*(batch[name].to_pylist() for name in ("dataset", "path", "step")), strict=True)

    def take(self, item: Item, draw: int) -> bool:
        """Whether an interrupted evaluation has computed the draw of this item; each of its records answers once."""
        if self._left is None:
            self._by_dataset = item.dataset is not None
            self._left = self._draws_by_item()
            self._had = dict(self._left)
        draws = self._left.get(item, ())
        if draw not in draws:
            return False
        place = draws.index(draw)
        self._left[item] = draws[:place] + draws[place + 1 :]
        return True

    def is_ambiguous(self, item: Item, draw: int) -> bool:
        """Whether an interrupted evaluation has computed the draw of this item, but not as often as the item comes."""
        return draw in self._had.get(item, ())

    def add(self, draw: int, records: list[SampleRecord]) -> None:
        """Take the records of a draw; they come to the disk together."""
        self.add_table(table_of_draw(draw, records))

    def add_table(self, table: pa.Table) -> None:
        """The same, of records whose steps are their draws."""
        self._held.append(table)
        now = time.monotonic()
        patience = max(self._flush_seconds, _PATIENCE * (now - self._began))
        if now - self._written >= patience or sum(table.num_rows for table in self._held) >= SHARD_ROWS:
            self.write()

    def write(self) -> None:
        """Have everything on disk.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        if self._held:
            self._log.write(pa.concat_tables(self._held).to_batches())
            self._held = []
        self._written = time.monotonic()

    def forget(self, items: Collection[Item]) -> None:
        """Remove every record of the items from the disk, so that they can be computed anew."""
        self.write()
        for file in self._log.files():
            with whole_file(file) as rewritten:
                write_shard(rewritten, (self._others(items, batch) for batch in pq.ParquetFile(file).iter_batches()))
        self._left = {item: draws for item, draws in (self._left or {}).items() if item not in items}
        self._had = {item: draws for item, draws in self._had.items() if item not in items}

    def ordered(self, kept: Iterable[pa.RecordBatch] = ()) -> Iterator[pa.RecordBatch]:
        """All records, by item and draw: an order that does not depend on the one in which they were computed.

        What an interrupted evaluation has of items that did not come again is left out.

        Args:
            kept: records of other items, which were not to be computed.
        """
        self.write()
        with self._connect() as connection:
            read_shards(connection, self._log.files()).create_view("records")
            if self._left is None or any(self._left.values()):
                new = [file for file in self._log.files() if file not in self._old]
                read_shards(connection, new).create_view("new")
                connection.register("old", pa.RecordBatchReader.from_batches(SCHEMA, self._that_came_again()))
                connection.execute("CREATE OR REPLACE VIEW records AS FROM old UNION ALL FROM new")
            connection.register("kept", pa.RecordBatchReader.from_batches(SCHEMA, kept))
            records = "(FROM records UNION ALL FROM kept)"
            for batch in connection.sql(f"FROM {records} ORDER BY {_ORDER}").to_arrow_reader(SHARD_ROWS):
                yield completed(batch)  # DuckDB has lost what may not be null

    def remove(self) -> None:
        """Remove everything: the evaluation is finished."""
        shutil.rmtree(self._folder)

    def _continues(self, arguments: Mapping[str, Any]) -> bool:
        """Whether what is there is of these arguments; says so, or what is different, if anything is there."""
        try:
            found = msgspec.json.decode((self._folder / "arguments.json").read_bytes(), type=dict[str, Any])
        except (FileNotFoundError, msgspec.DecodeError):
            return False
        changed = [
            f"{name}={found.get(name)!r}, now {value!r}"
            for name, value in arguments.items()
            if found.get(name) != value
        ]
        if self._log.files():
            LOGGER.warning(
                "an interrupted evaluation in %s is %s",
                self._folder,
                f"not continued: it had {'; '.join(changed)}" if changed else "continued; resume=False starts over",
            )
        return not changed

    def _draws_by_item(self) -> dict[Item, tuple[int, ...]]:
        """The draws that are there; most items share one tuple of them."""
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        dataset = "dataset" if self._by_dataset else "NULL::VARCHAR"
        query = f"SELECT {dataset} AS dataset, path, list(step ORDER BY step) AS draws FROM records GROUP BY ALL"
        found = {}
        with self._connect() as connection:
            read_shards(connection, self._old).create_view("records")
            for batch in connection.sql(query).to_arrow_reader(SHARD_ROWS):
                for name, path, draws in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    found[Item(name, path)] = shared.setdefault(tuple(draws), tuple(draws))
        return found

    def _that_came_again(self) -> Iterator[pa.RecordBatch]:
        """What an interrupted evaluation has of the items that came again."""
        for file in self._old:
            for batch in pq.ParquetFile(file).iter_batches():
                draws = batch["step"].to_pylist()
                left = [self.take(item, draw) for item, draw in zip(self._items(batch), draws, strict=True)]
                yield completed(batch).filter(pc.invert(pa.array(left, pa.bool_())))

    def _others(self, items: Collection[Item], batch: pa.RecordBatch) -> pa.RecordBatch:
        return completed(batch).filter(pa.array([item not in items for item in self._items(batch)], pa.bool_()))

    def _items(self, batch: pa.RecordBatch) -> Iterator[Item]:
        names = batch["dataset"].to_pylist() if self._by_dataset else [None] * batch.num_rows
        return map(Item, names, batch["path"].to_pylist())

    def _connect(self) -> duckdb.DuckDBPyConnection:
        # One thread, as the order of summing decides the last digits.
        return connect(self._memory_limit, 1, self._folder / ".spill")


def table_of_draw(draw: int, records: list[SampleRecord]) -> pa.Table:
    """Records of a draw as a table, with the draw as their step."""
    table = table_from_records(records)
    return table.set_column(0, SCHEMA.field(0), pa.array(np.full(table.num_rows, draw)))
