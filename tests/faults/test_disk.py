"""A full or read-only disk: training goes on, and everything arrives when there is room again."""

from __future__ import annotations

import logging
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from helpers import strict_json
from waiting import wait_until

from loss_logging import LossLogger, read_report
from loss_logging.errors import ConfigError
from loss_logging.records.log import RecordLog
from loss_logging.training import recorder

BATCH = 8


def fill(disk: Path) -> Callable[[], object]:
    """Leave no room; returns what gives it back."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast.unlink


def forbid(disk: Path) -> Callable[[], object]:
    """Make it read-only, as a kernel does that has met an error; returns what undoes it."""
    # A second mount on top: the first one has the run's lock open for writing and cannot be remounted.
    subprocess.run(["mount", "--bind", disk, disk], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
    return lambda: subprocess.run(["umount", "-l", disk], check=True)


def logger(disk: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "job", "save_root": disk, "loggers": [], "timeouts": {"flush": 0.1}}
    return LossLogger(**(defaults | options))


def log(losses: LossLogger, steps: range, pause: float = 0.001) -> None:
    """Train. Where the disk takes nothing, it does so until the test changes that: no step can have waited for it."""
    for step in steps:
        names = [f"{step}-{i}" for i in range(BATCH)]
        losses.log_batch(step, [0.5] * BATCH, paths=names, datasets="d", captions=["a cat in a garden"] * BATCH)
        time.sleep(pause)


def saved(future: Future[Path | None]) -> Any:
    path = future.result(60)
    assert path is not None
    return strict_json(path)


def stored(losses: LossLogger) -> Counter[str]:
    """How often each record is in the log."""
    return Counter(RecordLog(losses.config.records_dir).read()["path"].to_pylist())


def names(steps: range) -> Counter[str]:
    return Counter(f"{step}-{i}" for step in steps for i in range(BATCH))


@pytest.mark.parametrize("trouble", [fill, pytest.param(forbid, marks=pytest.mark.long)])
def test_a_disk_that_takes_nothing_for_a_while(
    trouble: Callable[[Path], Callable[[], object]],
    disk: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Records and their reports wait, with one warning, and come by themselves; nothing is missing, nothing twice."""
    caplog.set_level(logging.WARNING, "loss_logging")
    with logger(disk) as losses:
        log(losses, range(1, 50))
        assert saved(losses.save_step(49))["global"]["count"] == 49 * BATCH
        undo = trouble(disk)
        log(losses, range(50, 200))
        early = losses.save_step(199)
        log(losses, range(200, 400))
        late = losses.save_step(399)
        wait_until(lambda: "cannot write records" in caplog.text)
        assert not early.done()
        assert not late.done()
        undo()
        log(losses, range(400, 450))
        assert saved(late)["global"]["count"] == 399 * BATCH  # no later save step has asked for it
        assert read_report(losses.config.report_path(199)).global_.count == 199 * BATCH
        last = losses.save_step(449)
    assert saved(last)["global"]["count"] == 449 * BATCH
    assert saved(last)["warnings"] == []
    assert stored(losses) == names(range(1, 450))
    (warning,) = [r.getMessage() for r in caplog.records]
    assert f"cannot write records to {losses.config.records_dir}" in warning
    assert capfd.readouterr().err == ""  # reports wait for their records, and the reporter for them


def test_past_the_bound_the_oldest_are_dropped_and_counted(
    disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not fit into memory is dropped, oldest first, and every later report says how many."""
    caplog.set_level(logging.DEBUG, "loss_logging")
    monkeypatch.setattr(recorder, "_MAX_HELD_ROWS", 800)
    with logger(disk) as losses:
        log(losses, range(1, 20))
        saved(losses.save_step(19))
        undo = fill(disk)
        log(losses, range(20, 400))
        wait_until(lambda: "oldest records" in caplog.text)
        undo()
        log(losses, range(400, 420))
        data = saved(losses.save_step(419))
        (sentence,) = data["warnings"]
        lost = int(sentence.split()[0])
        assert "records are lost" in sentence
        assert 0 < lost == 419 * BATCH - data["global"]["count"]
        log(losses, range(420, 440))
        later = losses.save_step(439)
        assert saved(later)["warnings"] == [sentence]
    there = stored(losses)
    missing = names(range(1, 440)) - there
    assert set(there.values()) == {1}
    assert sum(missing.values()) == lost
    steps = sorted(int(name.split("-")[0]) for name in missing)
    assert steps[0] >= 20  # what was on disk stays
    assert sorted(missing) == sorted(names(range(steps[0], steps[0] + lost // BATCH)))  # a run of whole batches


@pytest.mark.parametrize("trouble", [pytest.param(fill, marks=pytest.mark.long), forbid])
def test_the_end_comes_while_the_disk_takes_nothing(
    trouble: Callable[[Path], Callable[[], object]], disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Closing is not held up, says in words what is lost, and leaves the log as it was."""
    losses = logger(disk)
    log(losses, range(1, 20))
    saved(losses.save_step(19))
    undo = trouble(disk)
    log(losses, range(20, 40))
    future = losses.save_step(39)
    undelivered = losses.close()
    assert any(f"{20 * BATCH} records are not included" in sentence for sentence in undelivered)
    assert "no report for step 39" in str(future.exception(1))
    undo()
    assert stored(losses) == names(range(1, 20))
    capfd.readouterr()


@pytest.mark.parametrize("trouble", [fill, pytest.param(forbid, marks=pytest.mark.long)])
def test_trouble_before_the_first_batch(
    trouble: Callable[[Path], Callable[[], object]], disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that fills up between the start and the first batch does not end the training either."""
    with logger(disk) as losses:
        undo = trouble(disk)
        log(losses, range(1, 20))
        undo()
        log(losses, range(20, 40))
        assert saved(losses.save_step(39))["global"]["count"] == 39 * BATCH
    capfd.readouterr()


def test_going_back_on_a_full_disk(disk: Path) -> None:
    """There is no room to rewrite a shard: an error before training begins, and the log keeps what it had."""
    with logger(disk, timeouts={"flush": 60}) as losses:
        log(losses, range(1, 400), pause=0)
    with logger(disk) as losses:
        undo = fill(disk)
        with pytest.raises(OSError, match="No space left"):
            losses.resume(350)
        undo()
    there = stored(losses)
    assert names(range(1, 351)) - there == Counter()
    assert set(there.values()) == {1}
    with logger(disk) as losses:
        losses.resume(350)
    assert stored(losses) == names(range(1, 351))


def test_read_only_at_the_start_is_said_at_once(disk: Path) -> None:
    """A folder that cannot be written is an error before training begins, and names save_root."""
    undo = forbid(disk)
    with pytest.raises(ConfigError, match="save_root: cannot write to"):
        logger(disk)
    undo()


def test_a_full_disk_at_the_start_is_said_at_once(disk: Path) -> None:
    """So is one without any room."""
    fill(disk)
    with pytest.raises(ConfigError, match=r"save_root: cannot write to .*No space left"):
        logger(disk)
