"""Records in columns: converts an Arrow table to `SCHEMA`, with the same result as its rows as mappings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from loss_logging.records.columns import LAST_STEP, SCHEMA, dataset_array, table_from_records

__all__ = ["table_of_records"]

_REQUIRED = ("path", "dataset", "caption", "loss")


def table_of_records(table: pa.Table) -> pa.Table:
    """The records in ``table`` as a table of `SCHEMA`. Other columns are left out.

    Columns of the usual types are converted as a whole; others are read row by row.

    Args:
        table: a table with at least the columns path, dataset, caption and loss. A missing column of `SCHEMA`, or a
            null in it, takes the default.

    Raises:
        ValueError: a required column is missing, or a value does not fit its column; the message names column and row.

    Example:
        >>> given = pa.table({"path": ["1.png"], "dataset": [None], "caption": ["a cat"], "loss": [1]})
        >>> table_of_records(given).select(["path", "dataset", "loss", "step", "timestep"]).to_pylist()
        [{'path': '1.png', 'dataset': 'unknown', 'loss': 1.0, 'step': 0, 'timestep': None}]
    """
    missing = [name for name in _REQUIRED if name not in table.column_names]
    if missing:
        raise ValueError(
            f"the table of records lacks {', '.join(missing)} (it has {', '.join(table.column_names) or 'no columns'})"
            f"; required: {', '.join(_REQUIRED)}"
        )
    given = table.select([name for name in SCHEMA.names if name in table.column_names])
    columns = {name: _column(given[name], SCHEMA.field(name)) for name in given.column_names}
    if any(column is None for column in columns.values()):
        return table_from_records(_rows(given))
    defaults = table_from_records([dict.fromkeys(_REQUIRED, 0)])
    return pa.Table.from_arrays(
        [columns[name] if name in columns else _repeated(defaults[name], len(table)) for name in SCHEMA.names],
        schema=SCHEMA,
    )


def _column(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray | None:
    """The column with the type of ``field``; None if its values must be checked one by one."""
    kind = column.type.value_type if pat.is_dictionary(column.type) else column.type
    if pat.is_string(field.type):
        if not (pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind) or pat.is_null(kind)):
            return None
        texts = pc.fill_null(column.cast(pa.string()), "")
        return dataset_array(texts) if field.name == "dataset" else texts
    if pat.is_null(kind) and field.nullable:
        return column.cast(field.type)
    if column.null_count and not field.nullable:
        return None
    if pat.is_floating(field.type) and (pat.is_floating(kind) or pat.is_integer(kind)):
        numbers = column.cast(pa.float64(), safe=False)  # a safe cast refuses integers that float64 rounds
        return pc.if_else(pc.is_finite(numbers), numbers, None) if field.nullable else numbers
    if field.name == "step":
        return column.cast(field.type) if pat.is_integer(kind) and _are_steps(column) else None
    return column.cast(field.type) if column.type == field.type else None


def _are_steps(column: pa.ChunkedArray) -> bool:
    lowest, highest = pc.min_max(column).as_py().values()
    return lowest is None or 0 <= lowest <= highest <= LAST_STEP


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches():
        for row in batch.to_pylist():
            if (components := row.get("components")) is not None:  # Arrow has pairs, or all names in each row
                row["components"] = {name: value for name, value in dict(components).items() if value is not None}
            yield {name: value for name, value in row.items() if name in _REQUIRED or value is not None}


def _repeated(default: pa.ChunkedArray, rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(default[0], rows)])
