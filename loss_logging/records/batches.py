"""Batches: what a training logged at once, and the records of several as columns of the log."""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from loss_logging.records.columns import SCHEMA, caption_array, dataset_array, float_array, rival_array, text_array
from loss_logging.records.in_flight import Pinned

__all__ = ["Batch", "columns_of"]


class Batch(NamedTuple):
    """Copies of (B,) figures, as `loss_logging.records.in_flight` makes them, and B names; None for what is missing."""

    step: int
    losses: Any
    paths: Collection[object]
    datasets: Collection[object] | str
    captions: Collection[object]
    timesteps: Any
    losses_empty: Any = None
    components: dict[str, Any] | None = None
    is_reg: Any = None
    caption_dropped: Any = None
    losses_rival: Any = None
    rivals: Collection[object] | None = None


def columns_of(batches: list[Batch]) -> pa.RecordBatch:
    """The records of a few batches as columns of `SCHEMA`."""
    sizes = [len(batch.paths) for batch in batches]
    losses_empty, losses_rival, rivals = _compared(batches, sizes)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(np.repeat([batch.step for batch in batches], sizes)),
            text_array([path for batch in batches for path in batch.paths]),
            dataset_array(
                [
                    name
                    for batch, size in zip(batches, sizes, strict=True)
                    for name in ([batch.datasets] * size if isinstance(batch.datasets, str) else batch.datasets)
                ]
            ),
            caption_array([caption for batch in batches for caption in batch.captions]),
            pa.array(_concatenate([batch.losses for batch in batches], sizes, np.nan)),
            float_array(_concatenate([batch.timesteps for batch in batches], sizes, np.nan)),
            float_array(losses_empty),
            _components(batches, sizes),
            _flags([batch.is_reg for batch in batches], sizes),
            _flags([batch.caption_dropped for batch in batches], sizes),
            float_array(losses_rival),
            rivals,
        ],
        schema=SCHEMA,
    )


def _compared(batches: list[Batch], sizes: list[int]) -> tuple[Any, Any, pa.Array]:
    """Losses with the empty caption and with rivals', and these; a blank rival is the empty caption."""
    empty = _concatenate([batch.losses_empty for batch in batches], sizes, np.nan)
    rival = _concatenate([batch.losses_rival for batch in batches], sizes, np.nan)
    if all(batch.rivals is None for batch in batches):
        return empty, rival, pa.nulls(len(empty), pa.string())
    texts = rival_array(
        [text for batch, size in zip(batches, sizes, strict=True) for text in batch.rivals or [None] * size]
    )
    blank = texts.is_null().to_numpy(zero_copy_only=False)
    empty = np.where(blank & np.isnan(empty), rival, empty)
    return empty, np.where(blank, np.nan, rival), texts


def _flags(columns: list[Any], sizes: list[int]) -> pa.Array:
    """True where there is a number other than 0; one that is missing is none."""
    figures = _concatenate(columns, sizes, 0.0)
    return pa.array((figures != 0.0) & ~np.isnan(figures))


def _concatenate(columns: list[Any], sizes: list[int], missing: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One float64 column from the batches' (B,) figures; a batch that has none is filled with ``missing``."""
    if all(column is None for column in columns):
        return np.full(sum(sizes), missing)
    read = [column.read() if isinstance(column, Pinned) else column for column in columns]
    if all(hasattr(column, "detach") for column in read):  # one call for all of them: a tenth of the time
        return _to_numpy(sys.modules["torch"].cat(read))
    if all(type(column) is list for column in read):
        return np.array(list(chain.from_iterable(read)), dtype=np.float64)
    parts = [
        np.full(size, missing) if column is None else _to_numpy(column)
        for column, size in zip(read, sizes, strict=True)
    ]
    return np.concatenate(parts)


def _to_numpy(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    if hasattr(values, "detach"):
        values = values.double().cpu().numpy()  # bfloat16 has no NumPy twin; float64 holds every float exactly
    return np.asarray(values, dtype=np.float64)


def _components(batches: list[Batch], sizes: list[int]) -> pa.Array:
    """One map per record; a batch without components gives null ones."""
    kind = SCHEMA.field("components").type
    if not any(batch.components for batch in batches):
        return pa.nulls(sum(sizes), kind)
    parts = []
    for batch, size in zip(batches, sizes, strict=True):
        if not batch.components:
            parts.append(pa.nulls(size, kind))
            continue
        names = list(batch.components)
        values = np.stack([_concatenate([batch.components[name]], [size], np.nan) for name in names], axis=1)
        offsets = np.arange(size + 1, dtype=np.int32) * len(names)
        parts.append(pa.MapArray.from_arrays(pa.array(offsets), pa.array(names * size), pa.array(values.ravel())))
    return pa.chunked_array(parts, kind).combine_chunks()
