"""Queries: a DuckDB connection over the record log, and the SQL files that it runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from loss_logging.records.columns import SCHEMA
from loss_logging.records.shards import read_shards
from loss_logging.reports.report import DECISIVE_PAIRS
from loss_logging.support.database import connect, spill_folder_of_this_process

__all__ = ["Queries", "parts_of", "sql"]

_AT_ONCE = 2_000_000
"""The number of records or items that are grouped in memory at once; more are read in parts."""
_FEW_RECORDS = 20_000
"""The number of records that are held in memory for several queries: 10 MB at most, but for very long captions."""
_ROWS_PER_WRITE = 1_000_000
"""The number of rows in memory that wait to be written to the parts of a log, over all parts."""
_DUCKDB_SHARE = 0.68
"""DuckDB's share of our memory limit, as its own limit does not count all of its memory."""


@cache
def sql(name: str) -> str:
    """The text of ``sql/{name}.sql``."""
    return files("loss_logging.statistics").joinpath(f"sql/{name}.sql").read_text("utf-8")


def parts_of(rows: int) -> int:
    """The number of parts in which ``rows`` rows are read, so that each part fits into memory.

    >>> parts_of(2_000_000), parts_of(2_000_001)
    (1, 2)
    """
    return -(-rows // _AT_ONCE)


def _place(edges: Sequence[float], low: int, high: int) -> str:
    """SQL of the bin of ``timestep``, which is one from ``low`` to ``high`` - 1. Halving takes a third of the time of a
    comparison with each edge.

    >>> _place([0.0, 0.5, 1.0], 0, 2)
    'CASE WHEN timestep < 0.5::DOUBLE THEN 0 ELSE 1 END'
    """
    if high - low <= 1:
        return str(low)
    middle = (low + high) // 2
    below, above = _place(edges, low, middle), _place(edges, middle, high)
    return f"CASE WHEN timestep < {edges[middle]!r}::DOUBLE THEN {below} ELSE {above} END"


def _version(file: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _scaled(size: str, factor: float) -> str:
    """A size such as "1.5GB" times a factor.

    >>> _scaled("1.5GB", 0.5)
    '0.75GB'
    """
    number = size.rstrip("KMGTiB ")
    return f"{float(number) * factor:g}{size[len(number) :].strip()}"


class Queries:
    """A DuckDB connection with a view ``samples`` over a table in memory or the files of a log."""

    def __init__(
        self,
        memory_limit: str = "4GB",
        threads: int = 1,
        spill_folder: Path | None = None,
        block_steps: int = 1,
    ) -> None:
        spill_folder = spill_folder or spill_folder_of_this_process()
        self._parts_folder = spill_folder.with_name(f"{spill_folder.name}-parts")
        self._connection = connect(_scaled(memory_limit, _DUCKDB_SHARE), threads, spill_folder)
        self.set("block_steps", block_steps)
        # A macro, not a variable: cursors in other threads have their own variables.
        self._connection.execute(f"CREATE MACRO decisive_pairs() AS {DECISIVE_PAIRS}")
        self._connection.execute(sql("macros"))
        self._edges: Sequence[float] = ()
        self._source: pa.Table | Sequence[Path] = SCHEMA.empty_table()
        self._connection.from_arrow(self._source).create_view("records")
        self._records = self._source
        self._held: dict[Path, tuple[int, int] | None] | None = {}
        """The files of the records in memory, each with its version; None where the log is too large."""
        self._place_among([0.0, 1.0])
        self._connection.execute(sql("samples"))
        self.view("samples", "FROM all_samples")

    def __enter__(self) -> Queries:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def set(self, variable: str, value: float) -> None:
        self._connection.execute(f"SET VARIABLE {variable} = {value!r}")

    def place_timesteps(self, edges: Sequence[float]) -> None:
        """Set the timestep bins of ``samples`` to the ones between the ascending ``edges``."""
        if list(edges) != self._edges:
            self._place_among(edges)
            self._show()

    def _place_among(self, edges: Sequence[float]) -> None:
        self._edges = list(edges)
        place = f"({_place(edges, 0, len(edges) - 1)})::TINYINT"
        outside = f"timestep < {edges[0]!r}::DOUBLE OR timestep > {edges[-1]!r}::DOUBLE"
        self._connection.execute(f"CREATE OR REPLACE MACRO timestep_bin(timestep) AS {place}")
        self._connection.execute(f"CREATE OR REPLACE MACRO outside_bins(timestep) AS {outside}")

    def read(self, source: pa.Table | Sequence[Path]) -> None:
        """Make ``source`` the data of the queries. The records of a small log are held in memory."""
        if not isinstance(source, pa.Table) and source == self._source and self._is_unchanged(source):
            return
        records = source if isinstance(source, pa.Table) else self._hold(source)
        relation = read_shards(self._connection, source) if records is None else self._connection.from_arrow(records)
        relation.create_view("records", replace=True)
        self._source = source  # not before: files that could not be read are read again
        self._show()

    def _is_unchanged(self, files: Sequence[Path]) -> bool:
        return self._held is None or self._held == {file: _version(file) for file in files}

    def _hold(self, files: Sequence[Path]) -> pa.Table | None:
        """The records of the files, unless they are too many. Files are read once.

        Each query over files opens them all, which takes longer than to read a few records.
        """
        if self._held is None:
            return None
        versions = {file: _version(file) for file in files}
        if list(versions.items())[: len(self._held)] != list(self._held.items()):
            self._held = {}
        before = [self._records] if self._held else []
        new = read_shards(self._connection, files[len(self._held) :]).project(", ".join(SCHEMA.names))
        if sum(map(len, before)) + new.aggregate("count(*)").fetchall()[0][0] > _FEW_RECORDS:
            self._held, self._source = None, ()
            self._records = SCHEMA.empty_table()
            self.drop("held_samples")
            return None
        self._records = pa.concat_tables([*before, new.to_arrow_table()])
        self._held = versions
        return self._records

    def _show(self) -> None:
        """Have the view ``samples`` show the source; of records that are held, the samples are computed once."""
        held = self._held is not None and not isinstance(self._source, pa.Table)
        if held:
            self.table("held_samples", "FROM all_samples")
        self.view("samples", "FROM held_samples" if held else "FROM all_samples")

    @contextmanager
    def reading(self, source: pa.Table | Sequence[Path]) -> Iterator[None]:
        """Make ``source`` the data of the queries, and restore the earlier source afterwards."""
        before = self._source
        self.read(source)
        try:
            yield
        finally:
            self.read(before)

    @contextmanager
    def at_hand(self, **steps: int) -> Iterator[None]:
        """Compute the samples of the steps in (after, through] once where they are few, and not in each query."""
        if self._held is not None or self.count(**steps) > _FEW_RECORDS:
            yield
            return
        self.table("few_samples", "FROM all_samples WHERE step > $after AND step <= $through", **steps)
        self.view("samples", "FROM few_samples")
        try:
            yield
        finally:
            self.view("samples", "FROM all_samples")
            self.drop("few_samples")

    @contextmanager
    def divided(self, parts: int, **steps: int) -> Iterator[list[list[Path]]]:
        """Files with the records of the given steps, divided by item into ``parts`` parts, in the spill folder."""
        shutil.rmtree(self._parts_folder, ignore_errors=True)  # files of a killed process
        try:
            self._parts_folder.mkdir(parents=True)
            self._connection.execute(f"SET partitioned_write_flush_threshold = {max(_ROWS_PER_WRITE // parts, 2_048)}")
            to = str(self._parts_folder).replace("'", "''")
            how = "FORMAT parquet, COMPRESSION lz4, PARTITION_BY (part)"
            self._connection.execute(f"COPY ({sql('divide')}) TO '{to}' ({how})", {"parts": parts, **steps})
            yield [sorted(folder.glob("*.parquet")) for folder in self._parts_folder.iterdir()]
        finally:
            shutil.rmtree(self._parts_folder, ignore_errors=True)

    def table(self, name: str, select: str, **parameters: object) -> None:
        """Create or replace the table ``name``; the query may read the old table."""
        self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS {select}", parameters or None)

    def extend(self, name: str, select: str, **parameters: object) -> None:
        """Append the result of the query to the table ``name``."""
        self._connection.execute(f"INSERT INTO {name} {select}", parameters or None)

    def overwrite(self, name: str, rows: str, keys: Sequence[str]) -> None:
        """Put all rows of the table ``rows`` into the table ``name``, in place of those with the same keys."""
        same = " AND ".join(f"{name}.{key} = {rows}.{key}" for key in keys)
        with self._connection.cursor() as one:
            one.begin()  # what it has not committed is undone when it is closed
            one.execute(f"DELETE FROM {name} USING {rows} WHERE {same}")
            one.execute(f"INSERT INTO {name} FROM {rows}")
            one.commit()

    def held_rows(self, name: str) -> int:
        """The rows of a table that take memory, those that were deleted included."""
        return int(self.value("SELECT estimated_size FROM duckdb_tables() WHERE table_name = $name", name=name))

    def view(self, name: str, select: str) -> None:
        """Create or replace the view ``name``."""
        self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")

    def derive(self, name: str, select: str, *, keep: bool) -> None:
        """Create or replace the view ``name``; with ``keep``, its rows are computed once, and not by each query."""
        if keep:
            self.table(f"{name}_rows", select)
        self.view(name, f"FROM {name}_rows" if keep else select)
        if not keep:
            self.drop(f"{name}_rows")

    def clear(self, name: str) -> None:
        """Delete all rows of the table ``name``."""
        self._connection.execute(f"DELETE FROM {name}")

    def delete(self, name: str, column: str, values: Sequence[object]) -> None:
        """Delete the rows of the table ``name`` that have one of the values in ``column``."""
        self._connection.execute(f"DELETE FROM {name} WHERE list_contains($values, {column})", {"values": values})

    def drop(self, *names: str) -> None:
        """Delete the tables, as far as they are there."""
        for name in names:
            self._connection.execute(f"DROP TABLE IF EXISTS {name}")

    def rows(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        """All rows of the query in ``sql/{name}.sql``."""
        return self._connection.execute(sql(name), parameters or None).fetchall()

    def table_rows(self, name: str) -> list[tuple[Any, ...]]:
        """All rows of the table ``name``."""
        return self._connection.execute(f"FROM {name}").fetchall()

    def value(self, query: str, **parameters: object) -> Any:
        """The single value of a query."""
        return self._connection.execute(query, parameters or None).fetchall()[0][0]

    def count(self, after: int, through: int) -> int:
        """The number of records of the steps in (after, through]."""
        steps = {"after": after, "through": through}
        return int(self.value("SELECT count(*) FROM records WHERE step > $after AND step <= $through", **steps))

    def batches(self, select: str, rows: int, **parameters: object) -> Iterator[pa.RecordBatch]:
        """The result of the query as a stream of record batches, on a separate cursor."""
        yield from self._connection.cursor().sql(select, params=parameters or None).to_arrow_reader(rows)

    def arrow(self, name: str, **parameters: object) -> pa.Table:
        """The result of the query in ``sql/{name}.sql`` as an Arrow table."""
        return self._connection.sql(sql(name), params=parameters or None).to_arrow_table()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Another connection to the same tables and views, for another thread."""
        return self._connection.cursor()

    def replace(self, name: str, rows: pa.Table) -> None:
        """Create or replace the table ``name``."""
        self._connection.register("incoming", rows)
        self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM incoming")
        self._connection.unregister("incoming")

    def insert(self, name: str, rows: pa.Table) -> None:
        """Append rows to the table ``name``, which the first call creates."""
        self._connection.register("incoming", rows)
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM incoming LIMIT 0")
        self._connection.execute(f"INSERT INTO {name} FROM incoming")
        self._connection.unregister("incoming")
