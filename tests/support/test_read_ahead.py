from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from loss_logging.support.read_ahead import read_ahead


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_same_items_in_the_same_order(items: list[int], most: int) -> None:
    """However many are taken ahead."""
    assert list(read_ahead(items, most)) == items


def test_items_are_taken_while_the_caller_works() -> None:
    """So many as were said, and not one more until the caller asks; all of them in another thread, one by one."""
    taken: list[int] = []
    threads: set[str] = set()

    def items() -> Iterator[int]:
        for item in range(9):
            taken.append(item)
            threads.add(threading.current_thread().name)
            yield item

    read = read_ahead(items(), 3)
    for asked in range(3):
        assert next(read) == asked
        wait_until(lambda asked=asked: len(taken) == asked + 4)
    read.close()
    assert taken == [0, 1, 2, 3, 4, 5]
    assert len(threads) == 1
    assert not threads & {thread.name for thread in threading.enumerate()}


def test_an_error_comes_in_its_place() -> None:
    """After the items before it, though it was met earlier."""

    def items() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("no more")

    read = read_ahead(items(), 4)
    assert [next(read), next(read)] == [1, 2]
    with pytest.raises(OSError, match="no more"):
        next(read)
