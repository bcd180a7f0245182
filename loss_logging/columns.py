"""The columnar form of records: one schema for memory, for the log on disk, and for every query."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.records import RecordLike, SampleRecord, as_records

__all__ = ["SCHEMA", "caption_array", "dataset_array", "float_array", "table_from_records", "text_array"]

SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
        pa.field("timestep", pa.float64()),
        pa.field("loss_empty", pa.float64()),
        pa.field("components", pa.map_(pa.string(), pa.float64())),
        pa.field("is_reg", pa.bool_(), nullable=False),
        pa.field("caption_dropped", pa.bool_(), nullable=False),
    ],
    metadata={"loss_logging": "records/1"},
)

_CHUNK = 65_536
_FIELDS = SampleRecord.__struct_fields__
_REQUIRED = itemgetter("path", "dataset", "caption", "loss")
_OPTIONAL = {field.name: field.default for field in msgspec.structs.fields(SampleRecord)[4:]} | {"components": None}


def table_from_records(records: Iterable[RecordLike]) -> pa.Table:
    """Records or mappings as one table of `SCHEMA`.

    Raises:
        ValueError: a required key is missing, or a figure is not a number; names the record.
        TypeError: an element is neither a SampleRecord nor a mapping.
    """
    iterator = iter(records)
    chunks: list[pa.RecordBatch] = []
    while chunk := list(islice(iterator, _CHUNK)):
        chunks.append(_batch(chunk, position=len(chunks) * _CHUNK))
    return pa.Table.from_batches(chunks, SCHEMA)


def _batch(chunk: list[RecordLike], position: int) -> pa.RecordBatch:
    column = dict(zip(_FIELDS, _transpose(chunk, position), strict=True))
    return pa.RecordBatch.from_arrays(
        [
            pa.array(column["step"], pa.int64()),
            text_array(column["path"]),
            dataset_array(column["dataset"]),
            caption_array(column["caption"]),
            _numbers("loss", column["loss"], position),
            _numbers("timestep", column["timestep"], position, optional=True),
            _numbers("loss_empty", column["loss_empty"], position, optional=True),
            pa.array([list(c.items()) if c else None for c in column["components"]], SCHEMA.field("components").type),
            pa.array(column["is_reg"], pa.bool_()),
            pa.array(column["caption_dropped"], pa.bool_()),
        ],
        schema=SCHEMA,
    )


def _transpose(chunk: list[RecordLike], position: int) -> Iterator[Sequence[Any]]:
    """The columns of a chunk, in the order of SampleRecord's fields; mappings take a path without objects."""
    if all(type(record) is dict for record in chunk):
        try:
            required = zip(*map(_REQUIRED, chunk), strict=True)  # type: ignore[arg-type]
            yield from list(required)
            for name, default in _OPTIONAL.items():
                yield [record.get(name, default) for record in chunk]  # type: ignore[union-attr]
            return
        except KeyError:
            pass  # as_records names the record and the keys that it lacks
    yield from zip(*map(msgspec.structs.astuple, as_records(chunk, position)), strict=True)


def _numbers(name: str, values: Sequence[Any], position: int, *, optional: bool = False) -> pa.Array:
    """A float column; anything that ``float`` takes is a number (NumPy scalars and 0-d tensors too)."""
    try:
        array = pa.array(values, pa.float64())
    except (pa.ArrowException, TypeError):
        array = pa.array([_number(name, value, position + i, optional) for i, value in enumerate(values)], pa.float64())
    if array.null_count and not optional:
        row = position + pc.index(array.is_null(), True).as_py()
        raise ValueError(f"records[{row}].{name} is None; expected a number (NaN where there is none)")
    return float_array(array) if optional else array


def _number(name: str, value: Any, row: int, optional: bool) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        allowed = "a number or None" if optional else "a number"
        raise ValueError(f"records[{row}].{name} is {value!r}; expected {allowed}") from error


def float_array(values: Any) -> pa.Array:
    """An optional float column: None and NaN both mean that there is no figure."""
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.float64())
    return pc.if_else(pc.is_finite(array), array, pa.scalar(None, pa.float64()))


def text_array(values: Sequence[object]) -> pa.Array:
    """A text column that takes whatever a trainer has: None, paths, bytes, lone surrogates.

    >>> text_array(["a.png", None, "bad \\ud800"]).to_pylist()
    ['a.png', '', 'bad \\\\ud800']
    """
    try:
        return pc.fill_null(pa.array(values, pa.string()), "")
    except (pa.ArrowException, UnicodeError, TypeError):
        return pa.array([_text(value) for value in values], pa.string())


def dataset_array(values: Sequence[object]) -> pa.Array:
    """Dataset names; missing and empty ones become "unknown"."""
    names = text_array(values)
    return pc.if_else(pc.equal(names, ""), "unknown", names)


def caption_array(values: Sequence[object]) -> pa.Array:
    """Captions; a missing one is the empty caption."""
    return text_array(values)


def _text(value: object) -> str:
    """The value as text that UTF-8 can hold; what it cannot hold stays visible as a backslash escape."""
    if value is None:
        return ""
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
