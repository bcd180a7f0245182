"""Progress bars: on standard error, where that is a terminal or a notebook's cell, of what takes more than a second."""

from __future__ import annotations

import sys
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
    disable = _disable(shown=shown)
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
    with tqdm(desc=label, bar_format="{desc}…", leave=False, disable=_disable(shown=shown)):
        yield


def _disable(*, shown: bool) -> bool | None:
    """What `tqdm` is told; None stands for "where it is no terminal". What a notebook's kernel writes to standard error
    is shown below the running cell, which is no terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return not shown or (None if getattr(shell, "kernel", None) is None else False)
