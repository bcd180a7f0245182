"""Progress bars on standard error, in a terminal or a notebook, for work of more than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["announced", "counted", "progress_bar"]


def progress_bar(
    label: str, over: Iterable[Any] | None = None, *, total: float | None = None, unit: str = "", shown: bool = True
) -> tqdm[Any]:
    """A bar that disappears when it is closed, or when its iteration ends.

    Args:
        label: the name of the work.
        over: the iterable; None if the caller calls `tqdm.update`.
        total: number of units in all; None if unknown.
        unit: the name of a unit.
        shown: False shows nothing.
    """
    disable = _disable(shown=shown)
    return tqdm(over, label, total, unit=unit, unit_scale=True, delay=1, leave=False, disable=disable)


def counted(batches: Iterable[pa.RecordBatch], label: str, *, shown: bool) -> Iterator[pa.RecordBatch]:
    """The batches, with a bar that counts their rows."""
    with progress_bar(label, unit=" items", shown=shown) as bar:
        for batch in batches:
            yield batch
            bar.update(batch.num_rows)


@contextmanager
def announced(label: str, *, shown: bool) -> Iterator[None]:
    """Show the name of work whose progress is unknown."""
    with tqdm(desc=label, bar_format="{desc}…", leave=False, disable=_disable(shown=shown)):
        yield


def _disable(*, shown: bool) -> bool | None:
    """The argument ``disable`` of `tqdm`; None means "unless in a terminal". In a notebook the bar is shown, too: the
    kernel's standard error appears below the running cell, and is no terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return not shown or (None if getattr(shell, "kernel", None) is None else False)
