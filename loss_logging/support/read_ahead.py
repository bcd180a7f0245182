"""read_ahead: the items of an iterator, of which a thread takes the next ones while the caller works with the last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["read_ahead"]

_Item = TypeVar("_Item")
_END: Any = object()


def read_ahead(items: Iterable[_Item], most: int) -> Iterator[_Item]:
    """The same items in the same order; an error comes in its place, after the items before it.

    Args:
        items: they are taken in one thread, one after the other.
        most: so many that the caller has not asked for are taken, and no more.

    Example:
        >>> list(read_ahead(range(3), 2))
        [0, 1, 2]
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "loss_logging-ahead") as thread:
        waiting: deque[Future[_Item]] = deque(thread.submit(next, source, _END) for _ in range(most))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, source, _END))
                yield item
        finally:
            for one in waiting:
                one.cancel()
