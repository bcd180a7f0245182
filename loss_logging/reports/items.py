"""Reads the figures of a report's items, a few thousand at a time, from its JSON or the Parquet file beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
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


def read_items(report: Path, *, progress: bool = False) -> Iterator[pa.RecordBatch]:
    """The figures of all items of ``report``, as batches of `ITEM_SCHEMA`; no batch if it has none.

    A JSON file is held in memory as bytes, and becomes columns a piece at a time; Parquet is read in pieces. A figure
    that is no number is unknown.

    Args:
        report: a ``{job_name}_{step:09d}.json``.
        progress: show a progress bar in a terminal if reading takes more than a second.

    Raises:
        ReportError: a file is damaged.
        OSError: a file cannot be read.
    """
    parquet = items_path(report)
    source, batches = (parquet, _from_parquet(parquet)) if parquet.exists() else (report, _from_json(report))
    yield from counted(batches, source.name, shown=progress)


def _from_parquet(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                yield pa.RecordBatch.from_arrays([_column(batch, field) for field in ITEM_SCHEMA], schema=ITEM_SCHEMA)
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
    *,
    progress: bool = False,
    through: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]] | None = None,
) -> None:
    """Make the DuckDB table ``table`` from the columns ``select`` of the rows of `read_items`, after ``through``.

    >>> from loss_logging.support.database import connect
    >>> connection = connect()
    >>> load_items(connection, "losses", "path, average_loss", Path("none.json"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'none.json'
    """
    read = read_items(report, progress=progress)
    batches = iter(read if through is None else through(read))
    connection.register("rows_read", ITEM_SCHEMA.empty_table())
    connection.execute(f"CREATE TABLE {table} AS SELECT {select} FROM rows_read")
    while some := list(itertools.islice(batches, _BATCHES_PER_INSERT)):
        connection.register("rows_read", pa.Table.from_batches(some))
        connection.execute(f"INSERT INTO {table} SELECT {select} FROM rows_read")
    connection.unregister("rows_read")


class _Dataset(msgspec.Struct):
    item_stats: msgspec.Raw = msgspec.Raw(b"{}")


class _Datasets(msgspec.Struct):
    datasets: dict[str, _Dataset] = {}


def _from_json(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        datasets = msgspec.json.decode(path.read_bytes(), type=_Datasets).datasets
        with closing(connect(threads=1)) as connection:
            pieces = (
                _piece(name, text) for name, one in datasets.items() for text in _pieces(memoryview(one.item_stats))
            )
            connection.register("pieces", pa.RecordBatchReader.from_batches(_PIECES, pieces))
            for batch in connection.sql(_SELECT).to_arrow_reader(_ROWS):
                if batch["count"].null_count or batch["caption"].null_count:
                    raise ReportError(f"{path} is no loss report: an item has no count or no caption")
                yield batch.cast(ITEM_SCHEMA)
    except (msgspec.DecodeError, UnicodeDecodeError, duckdb.Error) as error:
        raise ReportError(f"{path} is no loss report: {error}") from error


_PIECES = pa.schema([("dataset", pa.string()), ("text", pa.string())])
_SQL_TYPES = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR"}


def _column_of(field: msgspec.structs.FieldInfo) -> str:
    name = f"item.value.{field.name}"
    return (
        f"{name if field.required or field.default is None else f'coalesce({name}, {field.default!r})'} AS {field.name}"
    )


def _select() -> str:
    fields = msgspec.structs.fields(ItemStats)
    types = ", ".join(f"{field.name} {_SQL_TYPES[ITEM_SCHEMA.field(field.name).type]}" for field in fields)
    items = f"""unnest(map_entries(from_json(text, '"MAP(VARCHAR, STRUCT({types}))"')))"""
    columns = ", ".join(map(_column_of, fields))
    return f"SELECT dataset, item.key AS path, {columns} FROM (SELECT dataset, {items} AS item FROM pieces)"


_SELECT = _select()


def _pieces(text: memoryview) -> Iterator[bytes]:
    """The JSON object ``text`` in objects of fewer members. `write_report` puts a line break after a few thousand."""
    lines = filter(None, map(bytes.strip, bytes(text[1:-1]).split(b"\n")))
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
