from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from inline_logger import log, logger

from loss_logging.errors import LossLoggingError
from loss_logging.runs.lock import RunLock, is_locked


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second process that writes the same run is refused in words, and can have it when the first is done."""
    script = """
import sys
from loss_logging import LossLogger
with LossLogger(job_name="run", save_root=sys.argv[1], loggers=[], reporter="inline") as losses:
    losses.log_batch(1, [0.5], paths=["a"], datasets="d", captions=["c"])
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with logger(tmp_path) as first:
        log(first, 1)
        refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "close it first, or use another job_name" in refused.stderr
        first.close()
        assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).returncode == 0


def test_a_lock_is_of_one_rank_and_is_given_back(tmp_path: Path) -> None:
    """Whoever holds it may take it again; others see it as long as it is held."""
    assert not is_locked(tmp_path, 0)
    lock, other = RunLock(tmp_path, 0), RunLock(tmp_path, 1)
    for one in (lock, lock, other):
        one.acquire()
    assert (lock.is_held, is_locked(tmp_path, 0), is_locked(tmp_path, 2)) == (True, True, False)
    assert not lock.is_held_beside
    assert RunLock(tmp_path, 0).is_held_beside
    lock.release()
    assert (lock.is_held, is_locked(tmp_path, 0), is_locked(tmp_path, 1)) == (False, False, True)
    other.release()


def test_it_gives_way_to_one_that_gives_way_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that is run again takes over; one that nobody may interrupt is refused."""
    monkeypatch.setattr("loss_logging.runs.lock._PATIENCE_SECONDS", 0.01)
    first = RunLock(tmp_path, 0, lambda: first.release())
    first.acquire()
    second = RunLock(tmp_path, 0, lambda: None)
    second.acquire()
    assert (first.is_held, second.is_held) == (False, True)
    with pytest.raises(LossLoggingError, match="close it first, or use another job_name"):
        RunLock(tmp_path, 0).acquire()
    second.release()
