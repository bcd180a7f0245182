"""What happens when a job scheduler ends the run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["on_sigterm"]


def on_sigterm(call: Callable[[], object]) -> Callable[[], None]:
    """Have ``call`` called before SIGTERM ends the process, unless the trainer has a handler of its own.

    Returns:
        A function that undoes it.
    """

    def call_and_die(number: int, _frame: FrameType | None) -> None:
        call()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def undo() -> None:
        if _in_main_thread() and signal.getsignal(signal.SIGTERM) is call_and_die:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    if _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, call_and_die)
    return undo


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
