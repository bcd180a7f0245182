"""Records in a frame of pandas, Polars or Arrow: its rows, as mappings."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["each_record"]

_CHUNK = 65_536
_REQUIRED = ("path", "dataset", "caption", "loss")


def each_record(records: Any) -> Iterable[Any]:
    """The records in a sequence or a frame. A row of a frame is without the optional figures that it lacks.

    Raises:
        TypeError: ``records`` is a single record, a lazy frame, or not iterable.

    Example:
        >>> import pyarrow as pa
        >>> columns = {"path": ["1.png"], "dataset": ["d"], "caption": ["a cat"], "loss": [0.5], "timestep": [None]}
        >>> list(each_record(pa.table(columns)))
        [{'path': '1.png', 'dataset': 'd', 'caption': 'a cat', 'loss': 0.5}]
    """
    if isinstance(records, Mapping):
        one = "a mapping of columns" if any(isinstance(value, list) for value in records.values()) else "one mapping"
        raise TypeError(f"records is {one}; expected several records: a list of mappings, one for each, or a frame")
    if hasattr(records, "collect"):  # a lazy frame of Polars
        raise TypeError(f"records is a {type(records).__name__}; expected records or a frame: call .collect() first")
    chunks = _chunks(records)
    if chunks is not None:
        return itertools.chain.from_iterable(map(_without_gaps, chunks))
    if not isinstance(records, Iterable):
        raise TypeError(f"records is a {type(records).__name__}; expected several: a list of mappings, or a frame")
    return records


def _chunks(records: Any) -> Iterator[list[dict[str, Any]]] | None:
    """The rows in chunks; None if ``records`` is no frame."""
    if hasattr(records, "iloc") and hasattr(records, "columns"):  # pandas
        return (records.iloc[i : i + _CHUNK].to_dict("records") for i in range(0, len(records), _CHUNK))
    if hasattr(records, "num_columns") and hasattr(records, "to_pylist") and not hasattr(records, "to_batches"):
        return iter([records.to_pylist()])  # one batch of Arrow
    batches = records if hasattr(records, "read_next_batch") else _batches(records)
    return None if batches is None else (batch.to_pylist() for batch in batches)


def _batches(records: Any) -> Iterable[Any] | None:
    """The batches of an Arrow table or dataset, or of an object that converts itself to one: Polars, DuckDB."""
    if not hasattr(records, "to_batches") and hasattr(records, "__arrow_c_stream__"):
        import pyarrow as pa

        records = pa.table(records)
    batches: Iterable[Any] | None = records.to_batches() if hasattr(records, "to_batches") else None
    return batches


def _without_gaps(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without their empty cells, as a missing optional figure is an absent key in a record."""
    from loss_logging.records.columns import is_missing  # it imports this module

    for row in rows:
        yield {name: value for name, value in row.items() if name in _REQUIRED or not is_missing(value)}
