"""The figures of items as members of JSON objects, written from columns: no item becomes a Python object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from itertools import groupby
from typing import Any, get_type_hints

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.reports.report import ItemStats
from loss_logging.support.database import connect

__all__ = ["ROWS_OF_TEXT", "item_texts", "select_texts", "texts_of"]

_FIELDS = msgspec.structs.fields(ItemStats)
_HINTS: dict[str, Any] = get_type_hints(ItemStats)
ROWS_OF_TEXT = 2_048
"""Items of a piece of text: with more, memory is asked for anew each time."""


def item_texts(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, bytes]]:
    """Sequences of items of one dataset, as the members of a JSON object without its braces, with the dataset's name.

    Args:
        batches: the columns dataset, path and the fields of `ItemStats`, sorted by dataset.

    >>> columns = {name: pa.array([None], pa.float64()) for name in ItemStats.__struct_fields__}
    >>> columns |= {"dataset": ["cats"], "path": ["1.png"], "count": [1], "caption": ["a cat"], "hard": [0.5]}
    >>> [(_, text)] = item_texts([pa.RecordBatch.from_pydict(columns)])
    >>> text[:11], text[-55:]
    (b'"1.png":{"c', b'l,"hard":0.5,"caption_mismatch":null,"caption":"a cat"}')
    """
    with closing(connect(threads=1)) as connection:
        for held, group in groupby(batches, key=_fields_so_far()):
            group = iter(group)
            first = next(group)
            connection.register("items", pa.RecordBatchReader.from_batches(first.schema, _chained(first, group)))
            for rows in connection.sql(select_texts(held, "items")).to_arrow_reader(ROWS_OF_TEXT):
                yield from texts_of(rows)


def _fields_so_far() -> Callable[[pa.RecordBatch], frozenset[str]]:
    """A function of one batch after the other: the fields that have had another value than their default in any. They
    only become more, so that there are few different queries; what is asked of no item costs nothing."""
    held: set[str] = set()

    def so_far(batch: pa.RecordBatch) -> frozenset[str]:
        held.update(field.name for field in _FIELDS if field.name not in held and _is_needed(field, batch[field.name]))
        return frozenset(held)

    return so_far


def _is_needed(field: msgspec.structs.FieldInfo, column: pa.Array) -> bool:
    if field.required:
        return True
    if column.null_count == len(column):
        return False
    return field.default is None or bool(pc.any(pc.not_equal(column, field.default)).as_py())


def select_texts(
    held: Collection[str], source: str, may_overflow: Collection[str] = ItemStats.__struct_fields__
) -> str:
    """The SQL of each item's dataset and text, for `texts_of`.

    Args:
        held: the fields with a default that any item may have another value of; the others are left out.
        source: what SQL reads the columns dataset, path and the fields of `ItemStats` from, sorted by dataset.
        may_overflow: fields with figures that JSON may not be able to hold: such become null. To ask takes time.
    """
    written = (field for field in _FIELDS if field.required or field.name in held)
    members = ", ".join(_member(field, field.name in may_overflow) for field in written)
    text = f"concat(to_json(path), ':{{', {members.replace(',', '', 1)}, E'}},\\n')"
    return f"SELECT dataset, {text} AS text FROM {source}"


def _member(field: msgspec.structs.FieldInfo, may_overflow: bool) -> str:
    """The SQL of a field's name and value, after a comma. A field with a default is left out where it has that."""
    value = f'"{field.name}"'
    if may_overflow and _HINTS[field.name] == float | None:
        value = f"CASE WHEN isfinite({value}) THEN {value} END"
    if field.required:
        return f"""',"{field.name}":', coalesce(to_json({value}), 'null')"""
    if field.default is not None:
        value = f"nullif({value}, {field.default!r})"
    return f"""',"{field.name}":' || to_json({value})"""


def _chained(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def texts_of(rows: pa.RecordBatch) -> Iterator[tuple[str, bytes]]:
    """The text of each run of rows of one dataset, with the dataset's name, from rows of `select_texts`."""
    texts = rows["text"]
    _, offsets, buffer = texts.cast(pa.large_string()).buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset :]
    runs = pc.run_end_encode(rows["dataset"])
    first = 0
    for name, last in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield name, buffer[ends[first] : ends[last] - 2].to_pybytes()  # without what separates the last from the next
        first = last
