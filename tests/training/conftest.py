from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
from reporting import threads
from waiting import wait_until


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """After each test no thread, no process and no zombie of ours is left."""
    before = threads()  # of loggers that other tests have left to their exit handlers
    yield
    wait_until(lambda: threads() <= before, 5)
    left = [child.cmdline() for child in psutil.Process().children()]  # that of a zombie is empty
    assert not any(not command or "loss_logging.training.reporter" in command for command in left)
