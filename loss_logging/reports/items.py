"""Reads the figures of a report's items, a few thousand at a time, from its JSON or the Parquet file beside it."""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_type_hints

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.captions.decisions import Choice
from loss_logging.evidence.verdict import Verdict
from loss_logging.reports.artifact import ReportError, opened_report
from loss_logging.reports.file_parts import ItemText
from loss_logging.reports.names import items_path
from loss_logging.reports.report import DECISIVE_PAIRS, ItemStats
from loss_logging.support.database import connect
from loss_logging.support.progress_bar import announced, counted

__all__ = ["DECIDED", "ITEM_SCHEMA", "load_items", "read_items"]

_ROWS = 2_048
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
    report: Path,
    columns: Sequence[str] = ITEM_SCHEMA.names,
    *,
    texts: Mapping[str, ItemText] | None = None,
    progress: bool = False,
) -> Iterator[pa.RecordBatch]:
    """The figures of all items of ``report``, as batches of `ITEM_SCHEMA`, or of some of its columns; no batch if it
    has none.

    A file becomes columns a piece at a time; only a JSON file that somebody has formatted is held in memory. A figure
    that is no number is unknown.

    Args:
        report: a ``{job_name}_{step:09d}.json``.
        columns: those to read, in any order; fewer take less time.
        texts: of the JSON file, from `opened_report`, which then need not be opened again.
        progress: show a progress bar in a terminal if reading takes more than a second.

    Raises:
        ReportError: a file is damaged.
        OSError: a file cannot be read.
    """
    parquet = items_path(report)
    schema = pa.schema([field for field in ITEM_SCHEMA if field.name in columns])
    if parquet.exists():
        yield from counted(_from_parquet(parquet, schema), parquet.name, shown=progress)
    else:
        with _opened(report, texts) as known:
            yield from counted(_from_json(report, known, schema), report.name, shown=progress)


@contextmanager
def _opened(report: Path, texts: Mapping[str, ItemText] | None) -> Iterator[Mapping[str, ItemText]]:
    """``texts``, or those of the file while the context lasts."""
    if texts is not None:
        yield texts
    else:
        with opened_report(report) as (_, found):
            yield found


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
    texts: Mapping[str, ItemText] | None = None,
    progress: bool = False,
) -> None:
    """Make the DuckDB table ``table`` from the terms ``select`` of the rows of `read_items`, without Arrow in between.

    >>> from loss_logging.support.database import connect
    >>> connection = connect()
    >>> load_items(connection, "losses", "path, average_loss", Path("none.json"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'none.json'
    """
    parquet = items_path(report)
    schema = pa.schema([field for field in ITEM_SCHEMA if field.name in columns])
    source = parquet if parquet.exists() else report
    with announced(f"reading {source.name}", shown=progress):
        try:
            if source == parquet:
                connection.read_parquet(glob.escape(str(parquet))).create_view("stored", replace=True)
                rows = _rows_of_parquet(schema, pq.read_schema(parquet).names)
                connection.execute(f"CREATE TABLE {table} AS SELECT {select} FROM ({rows})")
            else:
                with _opened(report, texts) as known:
                    rows = _rows_of_json(connection, known, schema)
                    connection.execute(f"CREATE TABLE {table} AS SELECT {select} FROM ({rows})")
        except (pa.ArrowException, msgspec.DecodeError, UnicodeDecodeError, duckdb.Error) as error:
            wrong = "is damaged" if source == parquet else "is no loss report"
            raise ReportError(f"{source} {wrong}: {error}") from error


def _rows_of_parquet(schema: pa.Schema, names: Sequence[str]) -> str:
    columns = (
        f"{field.name if field.name in names else 'NULL'}::{_SQL_TYPES[field.type]} AS {field.name}" for field in schema
    )
    return f"SELECT {', '.join(columns)} FROM stored"


def _from_json(path: Path, texts: Mapping[str, ItemText], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        with closing(connect(threads=1)) as connection:
            for batch in connection.sql(_rows_of_json(connection, texts, schema)).to_arrow_reader(_ROWS):
                yield batch.cast(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, duckdb.Error) as error:
        raise ReportError(f"{path} is no loss report: {error}") from error


def _rows_of_json(connection: duckdb.DuckDBPyConnection, texts: Mapping[str, ItemText], schema: pa.Schema) -> str:
    """The SQL of the items in JSON objects, by their datasets."""
    ours = all(text.has_lines for text in texts.values())
    cut, items = (ItemText.lines, _OF_LINES) if ours else (_objects, _OF_OBJECTS)
    pieces = (_piece(name, text) for name, whole in texts.items() for text in cut(whole))
    connection.register("pieces", pa.RecordBatchReader.from_batches(_PIECES, pieces))
    types = ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in schema if field.name in _FIELDS)
    return f"SELECT {', '.join(map(_column_of, schema.names))} FROM ({items.format(types=types)})"


def _column_of(name: str) -> str:
    if (field := _FIELDS.get(name)) is None:
        return name
    value = f"item.{name}"
    if name in _REQUIRED:
        value = f"coalesce({value}, error('an item has no {name}'))"
    elif not field.required and field.default is not None:
        value = f"coalesce({value}, {field.default!r})"
    return f"{value} AS {name}"


_PIECES = pa.schema([("dataset", pa.string()), ("text", pa.large_string())])
_REQUIRED = {"count", "caption"}
_SQL_TYPES = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR"}
_FIELDS = {field.name: field for field in msgspec.structs.fields(ItemStats)}

_OF_LINES = """
    SELECT dataset, item, item.path AS path
    FROM (
        SELECT
            dataset,
            from_json(
                concat('{{"path":', replace(line, ':{{"count":', ',"count":')), '"STRUCT(path VARCHAR, {types})"'
            ) AS item
        FROM (SELECT dataset, unnest(string_split(text, E',\\n')) AS line FROM pieces)
    )
"""
"""Items from lines such as ``"1.png":{"count":2}``. No text has `file_parts.FIGURES` in it."""
_OF_OBJECTS = """
    SELECT dataset, entry.value AS item, entry.key AS path
    FROM (SELECT dataset, unnest(map_entries(from_json(text, '"MAP(VARCHAR, STRUCT({types}))"'))) AS entry FROM pieces)
"""
"""Items from JSON objects of any form, in twice the time."""


def _objects(whole: ItemText) -> Iterator[memoryview]:
    """The JSON object in objects of fewer members: earlier versions put a line break after a few thousand."""
    text = memoryview(whole.read(0, len(whole)))
    lines = filter(None, map(bytes.strip, io.BytesIO(text[1:-1])))
    pieces = (memoryview(b"{%b}" % line.removesuffix(b",")) for line in lines)
    first = next(pieces, memoryview(b"{}"))
    try:
        msgspec.json.decode(first)
    except msgspec.DecodeError:  # somebody has formatted the file
        yield text
        return
    yield first
    yield from pieces


def _piece(dataset: str, text: memoryview) -> pa.RecordBatch:
    ends = pa.array([0, len(text)], pa.int64()).buffers()[1]
    texts = pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(text))  # not copied
    return pa.RecordBatch.from_arrays([pa.array([dataset]), texts], schema=_PIECES)
