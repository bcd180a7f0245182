"""The columnar form of records: one schema for memory, for the log on disk, and for every query."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import index, itemgetter
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.records.frames import each_record
from loss_logging.records.record import RecordLike, SampleRecord, as_records

__all__ = [
    "LAST_STEP",
    "OLD_SCHEMAS",
    "SCHEMA",
    "Chunk",
    "as_text",
    "caption_array",
    "chunks_of",
    "completed",
    "dataset_array",
    "float_array",
    "is_missing",
    "rival_array",
    "table_from_records",
    "text_array",
    "whole_step",
]

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
        pa.field("loss_rival", pa.float64()),
        pa.field("rival", pa.string()),
    ],
    metadata={"loss_logging": "records/2"},
)
OLD_SCHEMAS = {b"records/1": SCHEMA.remove(11).remove(10).with_metadata({"loss_logging": "records/1"})}
"""What earlier versions wrote, by its mark; the columns that it lacks are null."""

LAST_STEP = 2**62
"""No step is later: there is room for sums of steps in 64 bits."""
_CHUNK = 65_536
_REQUIRED = ("path", "dataset", "caption", "loss")
_OPTIONAL = {field.name: field.default for field in msgspec.structs.fields(SampleRecord)[4:]} | {"components": None}


def whole_step(step: Any) -> int:
    """A step, of whatever whole type, as a plain number.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is negative, or above `LAST_STEP`.

    >>> whole_step(np.int64(3))
    3
    """
    try:
        number = index(step)
    except TypeError:
        raise TypeError(f"step is {step!r}; expected a whole number, 0 or more, up to 2**62") from None
    if not 0 <= number <= LAST_STEP:
        raise ValueError(f"step is {number}; expected 0 or more, up to 2**62")
    return number


def table_from_records(records: Iterable[RecordLike]) -> pa.Table:
    """Records or mappings, or the rows of a frame of pandas, Polars or Arrow, as one table of `SCHEMA`.

    Raises:
        ValueError: a required key is missing, or a figure is not a number; names the record.
        TypeError: an element is neither a SampleRecord nor a mapping.
    """
    columns = ([chunk.column(name) for name in SCHEMA.names] for chunk in chunks_of(records))
    return pa.Table.from_batches([pa.RecordBatch.from_arrays(arrays, schema=SCHEMA) for arrays in columns], SCHEMA)


class Chunk(NamedTuple):
    """Some records that follow one another, by field; None for a field that none of them has.

    ``position`` is where the first one stands.
    """

    position: int
    rows: int
    values: dict[str, list[Any] | None]

    def column(self, name: str) -> pa.Array:
        """A column of `SCHEMA`.

        Raises:
            ValueError: a value does not fit; names the record.
        """
        values = self.values[name]
        return _defaults(name, self.rows) if values is None else _column(name, values, self.position)


def chunks_of(records: Iterable[RecordLike]) -> Iterator[Chunk]:
    """Records in chunks, as they come.

    Raises:
        ValueError: a required key is missing; names the record.
        TypeError: an element is neither a SampleRecord nor a mapping.
    """
    iterator = iter(each_record(records))
    position = 0
    while some := list(islice(iterator, _CHUNK)):
        yield Chunk(position, len(some), _transpose(some, position))
        position += len(some)


def _column(name: str, values: list[Any], position: int) -> pa.Array:
    if name in _TEXTS:
        return _TEXTS[name](values)
    if name == "components":
        return _components(values, position)
    if name == "step":
        return _required(name, values, position, pa.int64(), _step, "a whole number, 0 or more")
    if SCHEMA.field(name).type == pa.bool_():
        return _required(name, values, position, pa.bool_(), _flag, "true or false")
    return _numbers(name, values, position, optional=SCHEMA.field(name).nullable)


def _defaults(name: str, rows: int) -> pa.Array:
    """The column of a field that no record has."""
    default, kind = _OPTIONAL[name], SCHEMA.field(name).type
    return pa.nulls(rows, kind) if default is None else pa.repeat(pa.scalar(default, kind), rows)


def _transpose(chunk: list[RecordLike], position: int) -> dict[str, list[Any] | None]:
    """The columns of a chunk by SampleRecord's fields, None for one that no record has; plain mappings take a path
    without objects in between."""
    if set(map(type, chunk)) == {dict}:
        mappings = cast(list[dict[str, Any]], chunk)
        try:
            required: dict[str, list[Any] | None] = {name: _values(mappings, name) for name in _REQUIRED}
        except KeyError:
            pass  # as_records names the record and the keys that it lacks
        else:
            return required | _optional_values(mappings)
    records = as_records(chunk, position)
    return {name: [getattr(record, name) for record in records] for name in SampleRecord.__struct_fields__}


def _values(mappings: list[dict[str, Any]], name: str) -> list[Any]:
    return list(map(itemgetter(name), mappings))


def _optional_values(mappings: list[dict[str, Any]]) -> dict[str, list[Any] | None]:
    """Of mappings that have all required keys."""
    first = mappings[0].keys()
    try:
        found = {name: _values(mappings, name) if name in first else None for name in _OPTIONAL}
    except KeyError:
        pass
    else:  # with no more keys than those of the first one, and all of them known, they have no others
        if first <= set(SCHEMA.names) and set(map(len, mappings)) == {len(first)}:
            return found
    present = set().union(*mappings)
    return {
        name: [mapping.get(name, default) for mapping in mappings] if name in present else None
        for name, default in _OPTIONAL.items()
    }


def _numbers(name: str, values: Sequence[Any], position: int, *, optional: bool = False) -> pa.Array:
    """A float column; anything that ``float`` takes is a number (NumPy scalars and 0-d tensors too)."""
    allowed = "a number or None" if optional else "a number"
    try:
        array = pa.array(values, pa.float64())
    except (pa.ArrowException, TypeError):
        numbers = [
            None if v is None else _converted(name, v, position + i, float, allowed) for i, v in enumerate(values)
        ]
        array = pa.array(numbers, pa.float64())
    if array.null_count and not optional:
        row = position + pc.index(array.is_null(), True).as_py()
        raise ValueError(f"records[{row}].{name} is None; expected a number (NaN where there is none)")
    return float_array(array) if optional else array


def _required(
    name: str, values: Sequence[Any], position: int, kind: pa.DataType, convert: Callable[[Any], Any], allowed: str
) -> pa.Array:
    """A column without nulls; what is not plain Python (Arrow would cut 2.5 down to 2) is converted one by one."""
    if set(map(type, values)) == {bool if kind == pa.bool_() else int}:
        array = pa.array(values, kind)
        if kind == pa.bool_() or pc.min(array).as_py() >= 0:
            return array
    return pa.array([_converted(name, v, position + i, convert, allowed) for i, v in enumerate(values)], kind)


def _components(values: Sequence[Any], position: int) -> pa.Array:
    kind = SCHEMA.field("components").type
    try:
        return pa.array([list(c.items()) if c else None for c in values], kind)
    except (pa.ArrowException, TypeError, AttributeError, UnicodeError, ValueError):
        rows = [
            _converted("components", c, position + i, _named_numbers, "a mapping of names to numbers") if c else None
            for i, c in enumerate(values)
        ]
        return pa.array(rows, kind)


def _converted(name: str, value: Any, row: int, convert: Callable[[Any], Any], allowed: str) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ValueError(f"records[{row}].{name} is {value!r}; expected {allowed}") from error


def _step(value: Any) -> int:
    whole = isinstance(value, float) and value.is_integer()  # pandas, in a column where one is missing
    step = int(value) if whole else index(value)
    if not 0 <= step <= LAST_STEP:
        raise ValueError(step)
    return step


def _flag(value: Any) -> bool:
    return bool([False, True].index(value))


def _named_numbers(components: Any) -> list[tuple[str, float]]:
    return [(as_text(name), float(value)) for name, value in dict(components).items()]  # Arrow has pairs


def float_array(values: Any) -> pa.Array:
    """An optional float column: None and NaN both mean that there is no figure."""
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.float64())
    return pc.if_else(pc.is_finite(array), array, pa.scalar(None, pa.float64()))


def text_array(values: Sequence[object]) -> pa.Array:
    """A text column that takes whatever a trainer has: None, paths, bytes, numbers, 0-d tensors, lone surrogates.

    >>> text_array(["a.png", None, "bad \\ud800"]).to_pylist()
    ['a.png', '', 'bad \\\\ud800']
    """
    try:
        return pc.fill_null(pa.array(values, pa.string(), from_pandas=True), "")
    except (pa.ArrowException, UnicodeError, TypeError):
        return pa.array([as_text(value) for value in values], pa.string())


def dataset_array(values: Sequence[object] | pa.ChunkedArray) -> pa.Array:
    """Dataset names; missing and empty ones become "unknown"."""
    names = values if isinstance(values, pa.ChunkedArray) else text_array(values)
    blank = pc.equal(names, "")
    return pc.if_else(blank, "unknown", names) if pc.any(blank).as_py() else names


def caption_array(values: Sequence[object]) -> pa.Array:
    """Captions; a missing one is the empty caption."""
    return text_array(values)


def rival_array(values: Sequence[object]) -> pa.Array:
    """Captions of rivals; a blank one is none."""
    texts = text_array(values)
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, pa.string()), texts)


_TEXTS: dict[str, Callable[[Sequence[object]], pa.Array]] = {
    "path": text_array,
    "dataset": dataset_array,
    "caption": caption_array,
    "rival": rival_array,
}


def completed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Records of this version or an earlier one in the columns of `SCHEMA`.

    >>> completed(pa.RecordBatch.from_pylist([], OLD_SCHEMAS[b"records/1"])).schema == SCHEMA
    True
    """
    held = batch.schema.names
    columns = [
        batch[field.name].cast(field.type) if field.name in held else pa.nulls(batch.num_rows, field.type)
        for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def as_text(value: object) -> str:
    """The value as text that UTF-8 can hold; what it cannot hold stays visible as a backslash escape."""
    value = _plain(value)
    if is_missing(value):
        return ""
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    """What a scalar of Arrow, NumPy or torch holds, of whatever shape it is one."""
    if value is np.ma.masked:
        return None
    if isinstance(value, pa.Scalar):
        return value.as_py()
    if hasattr(value, "item") and math.prod(getattr(value, "shape", (2,))) == 1:
        return value.item()
    return value


def is_missing(value: object) -> bool:
    """Whether there is nothing: None, or what NumPy and pandas have in its place, NaN, NA and NaT."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    pandas = sys.modules.get("pandas")
    return pandas is not None and any(value is getattr(pandas, name, None) for name in ("NA", "NaT"))
