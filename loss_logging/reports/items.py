"""Reads the figures of a report's items, a few thousand at a time, from its JSON or the Parquet file beside it."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import get_type_hints

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.captions.decisions import Choice
from loss_logging.evidence.verdict import Verdict
from loss_logging.reports.artifact import ReportError
from loss_logging.reports.names import items_path
from loss_logging.reports.report import DECISIVE_PAIRS, ItemStats
from loss_logging.support.database import connect
from loss_logging.support.progress_bar import counted

__all__ = ["DECIDED", "ITEM_SCHEMA", "load_items", "read_items"]

_ROWS = 2_048
_BATCHES_PER_INSERT = 32
_TYPES = {
    int: pa.int64(),
    str: pa.string(),
    str | None: pa.string(),
    Verdict | None: pa.string(),
    Choice | None: pa.string(),
}

ITEM_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("path", pa.string()),
        *((name, _TYPES.get(hint, pa.float64())) for name, hint in get_type_hints(ItemStats).items()),
    ]
)
"""Dataset, path and the fields of `ItemStats`."""

DECIDED = f"n_paired >= {DECISIVE_PAIRS}"
"""The SQL condition of items with a decided caption_mismatch."""


def read_items(
    report: Path, columns: Sequence[str] = ITEM_SCHEMA.names, *, progress: bool = False
) -> Iterator[pa.RecordBatch]:
    """The figures of all items of ``report``, as batches of `ITEM_SCHEMA`, or of some of its columns; no batch if it
    has none.

    A JSON file is held in memory as bytes, and becomes columns a piece at a time; Parquet is read in pieces. A figure
    that is no number is unknown.

    Args:
        report: a ``{job_name}_{step:09d}.json``.
        columns: those to read, in any order; fewer take less time.
        progress: show a progress bar in a terminal if reading takes more than a second.

    Raises:
        ReportError: a file is damaged.
        OSError: a file cannot be read.
    """
    parquet = items_path(report)
    schema = pa.schema([field for field in ITEM_SCHEMA if field.name in columns])
    is_parquet = parquet.exists()
    source, batches = (parquet, _from_parquet(parquet, schema)) if is_parquet else (report, _from_json(report, schema))
    yield from counted(batches, source.name, shown=progress)


def _from_parquet(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=schema.names):
                yield pa.RecordBatch.from_arrays([_column(batch, field) for field in schema], schema=schema)
    except pa.ArrowException as error:
        raise ReportError(f"{path} is damaged: {error}") from error


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    known = field.name in batch.schema.names
    return batch[field.name].cast(field.type) if known else pa.nulls(batch.num_rows, field.type)


def load_items(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    select: str,
    report: Path,
    columns: Sequence[str] = ITEM_SCHEMA.names,
    *,
    progress: bool = False,
    through: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]] | None = None,
) -> None:
    """Make the DuckDB table ``table`` from the terms ``select`` of the rows of `read_items`, after ``through``.

    >>> from loss_logging.support.database import connect
    >>> connection = connect()
    >>> load_items(connection, "losses", "path, average_loss", Path("none.json"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'none.json'
    """
    read = read_items(report, columns, progress=progress)
    batches = iter(read if through is None else through(read))
    connection.register("rows_read", pa.schema([ITEM_SCHEMA.field(name) for name in columns]).empty_table())
    connection.execute(f"CREATE TABLE {table} AS SELECT {select} FROM rows_read")
    while some := list(itertools.islice(batches, _BATCHES_PER_INSERT)):
        connection.register("rows_read", pa.Table.from_batches(some))
        connection.execute(f"INSERT INTO {table} SELECT {select} FROM rows_read")
    connection.unregister("rows_read")


class _Dataset(msgspec.Struct):
    item_stats: msgspec.Raw = msgspec.Raw(b"{}")


class _Datasets(msgspec.Struct):
    datasets: dict[str, _Dataset] = {}


def _from_json(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        datasets = msgspec.json.decode(path.read_bytes(), type=_Datasets).datasets
        with closing(connect(threads=1)) as connection:
            pieces = (
                _piece(name, text) for name, one in datasets.items() for text in _pieces(memoryview(one.item_stats))
            )
            connection.register("pieces", pa.RecordBatchReader.from_batches(_PIECES, pieces))
            for batch in connection.sql(_select(schema)).to_arrow_reader(_ROWS):
                if any(batch[name].null_count for name in _REQUIRED & {*schema.names}):
                    raise ReportError(f"{path} is no loss report: an item has no count or no caption")
                yield batch.cast(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, duckdb.Error) as error:
        raise ReportError(f"{path} is no loss report: {error}") from error


_PIECES = pa.schema([("dataset", pa.string()), ("text", pa.string())])
_REQUIRED = {"count", "caption"}
_SQL_TYPES = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR"}
_FIELDS = {field.name: field for field in msgspec.structs.fields(ItemStats)}


def _column_of(name: str) -> str:
    if (field := _FIELDS.get(name)) is None:
        return {"dataset": "dataset", "path": "item.key AS path"}[name]
    value = f"item.value.{name}"
    return f"{value if field.required or field.default is None else f'coalesce({value}, {field.default!r})'} AS {name}"


def _select(schema: pa.Schema) -> str:
    types = ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in schema if field.name in _FIELDS)
    items = f"""unnest(map_entries(from_json(text, '"MAP(VARCHAR, STRUCT({types}))"')))"""
    columns = ", ".join(map(_column_of, schema.names))
    return f"SELECT {columns} FROM (SELECT dataset, {items} AS item FROM pieces)"


def _pieces(text: memoryview) -> Iterator[bytes]:
    """The JSON object ``text`` in objects of fewer members. `write_report` puts a line break after a few thousand."""
    lines = filter(None, map(bytes.strip, io.BytesIO(text[1:-1])))
    pieces = (b"{%b}" % line.removesuffix(b",") for line in lines)
    first = next(pieces, b"{}")
    try:
        msgspec.json.decode(first)
    except msgspec.DecodeError:  # somebody has formatted the file
        yield bytes(text)
        return
    yield first
    yield from pieces


def _piece(dataset: str, text: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([dataset]), pa.array([text], pa.string())], schema=_PIECES)
