"""A full disk: training goes on, and everything arrives when there is room again. A read-only one is said at once."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loss_logging import LossLogger, read_report, recorder
from loss_logging.errors import ConfigError
from loss_logging.record_log import RecordLog

MEGABYTES = 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; needs root."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", tmp_path], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def log(losses: LossLogger, steps: range) -> None:
    longest = 0.0
    for step in steps:
        begun = time.perf_counter()
        losses.log_batch(
            step,
            [0.5] * 8,
            paths=[f"{step}-{i}" for i in range(8)],
            datasets="d",
            captions=["a caption of some words"] * 8,
        )
        longest = max(longest, time.perf_counter() - begun)
        time.sleep(0.001)
    assert longest < 1


def test_full_disk_that_has_room_again(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records and the report wait in memory while the disk is full, with one warning, and come when there is room."""
    caplog.set_level(logging.WARNING, "loss_logging")
    with LossLogger(job_name="full", save_root=disk, loggers=[], flush_seconds=0.2) as losses:
        log(losses, range(1, 50))
        assert losses.save_step(49).result(60) is not None
        ballast = fill(disk)
        log(losses, range(50, 400))
        future = losses.save_step(399)
        time.sleep(1.5)
        assert not future.done()
        ballast.unlink()
        log(losses, range(400, 500))
        assert losses.save_step(499).result(60) is not None
        path = future.result(60)
    assert path is not None
    last = read_report(losses.config.report_path(499))
    assert (last.global_.count, last.warnings) == (499 * 8, [])
    assert RecordLog(losses.config.records_dir).read()["path"].unique().__len__() == 499 * 8
    assert len([r for r in caplog.records if "cannot write records" in r.message]) == 1


def test_past_the_bound_the_oldest_are_dropped_and_counted(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory is dropped, oldest first, and every later report says how many."""
    monkeypatch.setattr(recorder, "_MAX_HELD_ROWS", 800)
    with LossLogger(job_name="bound", save_root=disk, loggers=[], flush_seconds=0.2) as losses:
        log(losses, range(1, 20))
        ballast = fill(disk)
        log(losses, range(20, 600))
        time.sleep(0.8)
        ballast.unlink()
        log(losses, range(600, 620))
        path = losses.save_step(619).result(60)
        assert path is not None
        (sentence,) = read_report(path).warnings
        lost = int(sentence.split()[0])
        assert "records are lost" in sentence
        assert read_report(path).global_.count + lost == 619 * 8
        log(losses, range(620, 640))
        later = losses.save_step(639).result(60)
    assert later is not None
    assert read_report(later).warnings == [sentence]


def test_read_only_at_the_start_is_said_at_once(disk: Path) -> None:
    """A folder that cannot be written is an error before training begins, and names save_root."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(ConfigError, match="save_root: cannot write to"):
        LossLogger(job_name="ro", save_root=disk, loggers=[])
