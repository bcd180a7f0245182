"""Progress bars of the commands: on standard error, where that is a terminal, for what takes more than a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from tqdm import tqdm

__all__ = ["announced", "counted", "progress_bar"]


def progress_bar(
    label: str, over: Iterable[Any] | None = None, *, total: float | None = None, unit: str = "", shown: bool = True
) -> tqdm[Any]:
    """A bar that is gone when it is closed, or when what it is over has ended.

    Args:
        label: what is being done.
        over: what to iterate over; None where `tqdm.update` says how far it is.
        total: units in all, where that is known.
        unit: what is counted.
        shown: False shows nothing.
    """
    disable = None if shown else True  # None: where it is no terminal
    return tqdm(over, label, total, unit=unit, unit_scale=True, delay=1, leave=False, disable=disable)


def counted(batches: Iterable[pa.RecordBatch], label: str, *, shown: bool) -> Iterator[pa.RecordBatch]:
    """The batches, with a bar that counts their rows as items."""
    with progress_bar(label, unit=" items", shown=shown) as bar:
        for batch in batches:
            yield batch
            bar.update(batch.num_rows)


@contextmanager
def announced(label: str, *, shown: bool) -> Iterator[None]:
    """Say what is being done while it cannot be told how far it is."""
    with tqdm(desc=label, bar_format="{desc}…", leave=False, disable=None if shown else True):
        yield
