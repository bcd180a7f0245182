"""Reads the figures of a report's items, a few thousand at a time, from its JSON or the Parquet file beside it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.captions.decisions import Choice
from loss_logging.evidence.verdict import Verdict
from loss_logging.reports.artifact import ReportError
from loss_logging.reports.names import items_path
from loss_logging.reports.report import DECISIVE_PAIRS, ItemStats
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

    A JSON file is held in memory as bytes, but its Python objects only in part; Parquet is read in pieces.

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
        for name, dataset in datasets.items():
            for items in _pieces(memoryview(dataset.item_stats)):
                yield _batch(name, items)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} is no loss report: {error}") from error


_decode = msgspec.json.Decoder(dict[str, ItemStats]).decode


def _pieces(text: memoryview) -> Iterator[dict[str, ItemStats]]:
    """The members of the JSON object ``text``. `write_report` puts a line break after every few thousand of them."""
    lines = (text[1:-1][slice(*line.span())] for line in re.finditer(rb"[^\n]+", text[1:-1]))
    pieces = (b"{%b}" % bytes(line).strip().removesuffix(b",") for line in lines)
    try:
        first = _decode(next(pieces, b"{}"))
    except msgspec.DecodeError:  # somebody has formatted the file
        yield _decode(text)
        return
    yield first
    yield from map(_decode, pieces)


def _batch(dataset: str, items: dict[str, ItemStats]) -> pa.RecordBatch:
    figures: list[tuple[Any, ...]] = [msgspec.structs.astuple(item) for item in items.values()]
    columns = zip(*figures, strict=True) if figures else [()] * len(ItemStats.__struct_fields__)
    values = [[dataset] * len(items), list(items), *columns]
    arrays = [pa.array(column, field.type) for column, field in zip(values, ITEM_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=ITEM_SCHEMA)
