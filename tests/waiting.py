"""How tests wait: for something to become true, with a limit that only a hang reaches. None of them asserts a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["HOURS", "wait_until"]

HOURS = 7_200.0
"""Seconds of a time limit that no test lives to see: what comes back has not waited for it."""

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 120.0, *, every: float = 0.005) -> T:
    """The first true value of ``condition``, which is asked ``every`` so many seconds.

    Raises:
        AssertionError: there was none within ``seconds``; shows the last value.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s; the last value was {value!r}"
        time.sleep(every)
    return value
