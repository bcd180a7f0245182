from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from loss_logging.training.sigterm import on_sigterm


@pytest.fixture(autouse=True)
def _default() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_it_is_undone_and_leaves_a_handler_of_the_trainers_alone() -> None:
    """Ours is there until it is undone; where the trainer has one, that one stays."""
    undo = on_sigterm(lambda: None)
    assert callable(signal.getsignal(signal.SIGTERM))
    undo()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    own = lambda number, frame: None  # noqa: E731
    signal.signal(signal.SIGTERM, own)
    undo = on_sigterm(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is own
    undo()
    assert signal.getsignal(signal.SIGTERM) is own


def test_a_thread_that_may_set_no_handler_sets_none() -> None:
    """Signals are the main thread's; asking from another one is no error."""
    undone: list[object] = []
    thread = threading.Thread(target=lambda: undone.append(on_sigterm(lambda: None)()))
    thread.start()
    thread.join()
    assert undone == [None]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
