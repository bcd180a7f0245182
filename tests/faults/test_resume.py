"""A run that goes on from a step reports what one that was never interrupted does, whatever is in the folder."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import kill_points
import psutil
import pytest
from helpers import assert_same_figures
from processes import (
    assert_ends_like,
    assert_whole,
    ended,
    figures,
    finish,
    last_report,
    log_of,
    reported,
    reporters,
    train,
)
from training_run import LAST, SAVE, log
from waiting import wait_until

from loss_logging.records import log as record_log
from loss_logging.trackers.memory import MemoryBackend
from loss_logging.training import recorder, reporter

pytestmark = pytest.mark.xdist_group("unbroken")  # a run that is made once

END = 3 * SAVE


@pytest.fixture(autouse=True)
def many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small shards, compacted often, so that going back cuts through all kinds of them."""
    monkeypatch.setattr(recorder, "_DRAIN_SECONDS", 0.002)
    monkeypatch.setattr(recorder, "_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(record_log, "_RUN", 3)
    monkeypatch.setattr(reporter, "_COMPACT_FILES", 5)


def go(root: Path, after: int, end: int, *, resume: bool = True, **options: Any) -> list[int]:
    """Go on after a step; returns the steps of the reports that a tracker got."""
    memory = MemoryBackend()
    with kill_points.inline(root, loggers=[memory], **options) as losses:
        if resume:
            losses.resume(after)
        for step in range(after + 1, end + 1):
            log(losses, step)
            time.sleep(0.001)
            if step % SAVE == 0:
                losses.save_step(step)
    return [report.job.step for report in memory.reports]


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """The reports of a run in one go."""
    root = tmp_path_factory.mktemp("through")
    go(root, 0, END)
    return {step: figures(root, step) for step in (SAVE, 2 * SAVE, END)}


LONG = ([20], [40], [13, 35], [31, 30, 29, 28, 1], [7, 7, 50, 19])


@pytest.mark.parametrize("stops", [[60], [31, 28, 1], *(pytest.param(stops, marks=pytest.mark.long) for stops in LONG)])
def test_going_back_is_exact(stops: list[int], tmp_path: Path, through: dict[int, dict[str, Any]]) -> None:
    """From a save step or any other, again and again, backwards and forwards: each later report is the same."""
    go(tmp_path, 0, END)
    for stop in stops:
        assert go(tmp_path, stop, END) == [step for step in through if step > stop]
        assert_whole(tmp_path, range(1, END + 1))
        assert reported(tmp_path) == list(through)
        for step in through:
            assert_same_figures(figures(tmp_path, step), through[step])


def test_starting_over(tmp_path: Path, through: dict[int, dict[str, Any]]) -> None:
    """resume(0) is a new run: nothing is carried over, nothing archived."""
    go(tmp_path, 100, 100 + SAVE)
    go(tmp_path, 0, END)
    assert reported(tmp_path) == list(through)
    assert_same_figures(figures(tmp_path, END), through[END])
    assert not (tmp_path / "loss_logging" / "archive").exists()


def test_beyond_the_end(tmp_path: Path) -> None:
    """Going on after a step that was never reached keeps everything that there is."""
    go(tmp_path, 0, 30)
    go(tmp_path, 50, END)
    assert set(log_of(tmp_path).read()["step"].to_pylist()) == {*range(1, 31), *range(51, END + 1)}


def test_a_report_pending_when_a_run_goes_back(tmp_path: Path, through: dict[int, dict[str, Any]]) -> None:
    """Random stops in the middle of everything, in one process after another, end in the same report."""
    rng = random.Random(0)
    at = 0
    while at < END:
        end = min(at + rng.randint(1, 30), END)
        go(tmp_path, at, end)
        at = max(0, end - rng.randint(0, 5)) if end < END else end
    assert_same_figures(figures(tmp_path, END), through[END])


# --- orphans --------------------------------------------------------------------------------------------------------


def orphan(root: Path) -> psutil.Process:
    """The reporter of a killed trainer, stopped while it has two reports or more to write."""
    process = train(root, 0, "0.03", str(LAST - SAVE + 5))
    assert process.stdout is not None
    steps = (int(line.split()[0]) for line in process.stdout)
    next(step for step in steps if step > SAVE)  # the trainer waits for its first report, and for none after it
    (child,) = reporters(process)
    child.suspend()
    last = last_report(root)
    assert last < LAST - 3 * SAVE
    next(step for step in steps if step >= last + 2 * SAVE + 5)
    process.kill()
    process.wait(60)
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()
    return child


def test_an_orphan_finishes_and_ends(tmp_path: Path) -> None:
    """The reports that a killed trainer asked for are written, and its reporter does not stay."""
    child = orphan(tmp_path)
    before = last_report(tmp_path)
    child.resume()
    wait_until(lambda: ended(child))
    after = last_report(tmp_path)
    assert before + 2 * SAVE <= after < LAST
    assert reported(tmp_path) == list(range(SAVE, after + 1, SAVE))
    assert_whole(tmp_path, range(1, after + 1))


@pytest.mark.long
def test_a_new_trainer_beside_an_orphan(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    """The orphan wakes up when the run has gone on without it: it changes nothing any more, and ends."""
    child = orphan(tmp_path)
    process = train(tmp_path, last_report(tmp_path))
    assert process.stdout is not None
    process.stdout.readline()
    child.resume()
    finish(process)
    wait_until(lambda: ended(child))
    assert_whole(tmp_path, range(1, LAST + 1))
    assert_ends_like(tmp_path, unbroken)


def test_an_orphan_reports_nothing_of_a_run_that_went_back(tmp_path: Path) -> None:
    """No report of a step that the new run has not reached appears: its records are not there."""
    child = orphan(tmp_path)
    with kill_points.inline(tmp_path) as losses:
        losses.resume(SAVE)
        log(losses, SAVE + 1)
        child.resume()
        wait_until(lambda: ended(child))
        assert reported(tmp_path) == [SAVE]
