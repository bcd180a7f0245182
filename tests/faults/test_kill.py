"""Processes are killed: whatever is on disk is whole, nothing old is missing, nothing counts twice."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import kill_points
import pyarrow.parquet as pq
import pytest
from helpers import assert_same_figures, record, write
from kill_points import STEP
from processes import (
    assert_ends_like,
    assert_whole,
    ended,
    figures,
    finish,
    last_report,
    log_of,
    logged,
    report_at,
    reported,
    reporters,
    start,
    steps_before,
    train,
)
from training_run import LAST, SAVE
from waiting import wait_until

from loss_logging import read_report
from loss_logging.records.log import RecordLog

pytestmark = pytest.mark.xdist_group("unbroken")  # a run that is made once

# --- at random moments ----------------------------------------------------------------------------------------------


def kill_and_resume(root: Path, rng: random.Random, *, reporter_too: bool) -> None:
    """Go on with the run from its last report, kill it, and look at what is there."""
    resumed = last_report(root)
    if resumed == LAST:
        resumed = 0
    process = train(root, resumed)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(rng.uniform(0.0, 2.0))
    children = reporters(process)
    process.kill()
    killed = time.time()
    for child in children:
        if reporter_too:
            child.kill()
    out, _ = process.communicate(timeout=60)
    wait_until(lambda: all(map(ended, children)))  # an orphan finishes what it was asked for, and ends by itself
    assert_whole(root, [*range(1, resumed + 1), *steps_before(logged([first, *out.splitlines(True)]), killed)])


MANY = [pytest.param(victim, 75, marks=pytest.mark.long) for victim in ("trainer", "both")]


@pytest.mark.parametrize(("victim", "kills"), [("both", 1), *MANY])
def test_a_trainer_killed_at_random_moments(victim: str, kills: int, tmp_path: Path, unbroken: dict[str, Any]) -> None:
    """Resumed from its last report each time, the run ends with the report of one that was never interrupted."""
    rng = random.Random(f"{victim} {kills}")
    for _ in range(kills):
        kill_and_resume(tmp_path, rng, reporter_too=victim == "both")
    finish(train(tmp_path, last_report(tmp_path)))
    assert_whole(tmp_path, range(1, LAST + 1))
    assert_ends_like(tmp_path, unbroken)


@pytest.mark.long
def test_a_reporter_killed_at_random_moments(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    """It is started again each time; training goes on, every report comes, and the last one is right."""
    runs = 10
    rng = random.Random(runs)
    kills = 0
    for n in range(runs):
        root = tmp_path / str(n)
        process = train(root)
        in_a_row = 0  # a third death without an answer in between is given up on
        answered = 0
        while process.poll() is None:
            time.sleep(rng.uniform(0.0, 0.6))
            if (through := last_report(root)) > answered:
                in_a_row, answered = 0, through
            for child in reporters(process) if in_a_row < 2 else []:
                child.kill()
                kills += 1
                in_a_row += 1
        finish(process)
        assert reported(root) == list(range(SAVE, LAST + 1, SAVE))
        assert_whole(root, range(1, LAST + 1))
        assert_ends_like(root, unbroken)
    assert kills >= 3 * runs


REPORTER_THAT_DIES = """
import os, pathlib, sys
if sys.orig_argv[-1] == "loss_logging.training.reporter":
    import kill_points
    places = sorted(pathlib.Path(os.environ["PLACES"]).iterdir())
    if places:
        places[0].unlink()
        kill_points.die_before(int(places[0].suffix[1:]))
"""


@pytest.mark.parametrize("points", [[2, 20], pytest.param([1, 2, 3, 4, 7, 70, 20], marks=pytest.mark.long)], ids=len)
def test_a_reporter_killed_at_every_kind_of_point(points: list[int], tmp_path: Path, unbroken: dict[str, Any]) -> None:
    """Before each of its first changes of the disk: reports half written, shards half compacted come out right."""
    root, site, places = (tmp_path / name for name in ("root", "site", "places"))
    for folder in (root, site, places):
        folder.mkdir()
    (site / "sitecustomize.py").write_text(REPORTER_THAT_DIES)
    for n, point in enumerate(points):
        (places / f"{n:02d}.{point}").touch()
    _, err = finish(train(root, PYTHONPATH=str(site), PLACES=str(places)))
    assert "the reporter process died" in err
    assert reported(root) == list(range(SAVE, LAST + 1, SAVE))
    assert_whole(root, range(1, LAST + 1))
    assert_ends_like(root, unbroken)
    assert len(list(places.iterdir())) <= max(0, len(points) - 5)


# --- at every point -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two ranks, 18 shards each, of 3 records each."""
    folder = tmp_path_factory.mktemp("log")
    for rank in (0, 1):
        log = RecordLog(folder, rank)
        for step in range(18):
            write(log, [record(path=f"{rank}-{step}-{i}", step=step) for i in range(3)])
    return folder


def killed(tmp_path: Path, work: str, first: int = 1, stride: int = 1) -> list[Path]:
    """What is left of the folder ``before`` when the work is killed before each of its changes of the disk."""
    finish(start(tmp_path, Path(__file__).with_name("kill_points.py"), work, str(first), str(stride)))
    folders = [path for path in tmp_path.iterdir() if path.name.isdecimal()]
    return sorted(folders, key=lambda path: int(path.name))


@pytest.mark.parametrize(("work", "points"), [("write", 3), ("compact", 40), ("truncate", 15)])
def test_a_log_killed_at_every_point(work: str, points: int, tmp_path: Path, small_log: Path) -> None:
    """The log is as it was before, or as after; going back to a step leaves the beginning of it at any point."""
    shutil.copytree(small_log, tmp_path / "before")
    before = Counter(RecordLog(small_log).read()["path"].to_pylist())
    folders = killed(tmp_path, work)
    assert len(folders) >= points
    for folder in folders:
        after = RecordLog(folder).read()["path"].to_pylist()
        if work == "write":
            assert Counter(after) in (before, before + Counter(list(before)[:3]))
        elif work == "compact":
            assert Counter(after) == before
        else:
            for rank in (0, 1):
                steps = [int(path.split("-")[1]) for path in after if path.startswith(f"{rank}-")]
                assert steps == [step for step in range(max(steps) + 1) for _ in range(3)]
                assert max(steps) >= STEP
            RecordLog(folder).truncate(STEP)
            assert RecordLog(folder).read().num_rows == 2 * 3 * (STEP + 1)


def test_a_report_killed_at_every_point(tmp_path: Path) -> None:
    """The old one is there, or the new one, whole."""
    kill_points.report(new(tmp_path), name="old")
    names = [read_report(folder / "job_000000001.json").job.name for folder in killed(tmp_path, "report")]
    assert set(names[:-1]) == {"old", "new"}
    assert names[-1] == "new"


# --- at points of a run: some in every run of the tests, all of them in a long one -----------------------------------


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short run leaves that nothing has happened to."""
    tmp_path = tmp_path_factory.mktemp("short")
    new(tmp_path)
    (folder,) = killed(tmp_path, "run", 1_000_000)
    return folder


@pytest.mark.parametrize("stride", [53, pytest.param(1, marks=pytest.mark.long)])
def test_a_run_killed_at_many_points(stride: int, tmp_path: Path, short: Path) -> None:
    """Whatever it was doing, resumed from its last report it ends with the report of one that was never interrupted."""
    new(tmp_path)
    for folder in killed(tmp_path, "run", 1, stride):
        end_and_compare(folder, short)


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
def test_going_back_killed_at_many_points(stride: int, tmp_path: Path, short: Path) -> None:
    """No report is left that the log does not hold the records of; asked again, it goes back, and on to the end."""
    shutil.copytree(short, tmp_path / "before")
    for folder in killed(tmp_path, "resume", 1, stride):
        end_and_compare(folder, short)


def end_and_compare(folder: Path, short: Path) -> None:
    last = last_report(folder)
    assert_whole(folder, range(1, last + 1))
    with kill_points.inline(folder) as losses:
        losses.resume(last)
        kill_points.go_on(losses, last)
    assert_whole(folder, range(1, 3 * SAVE + 1))
    assert_same_figures(figures(folder, 3 * SAVE), figures(short, 3 * SAVE))


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
def test_archiving_killed_at_many_points(stride: int, tmp_path: Path, short: Path) -> None:
    """Every record and every report of the earlier run is in the archive or still in its place."""
    shutil.copytree(short, tmp_path / "before")
    captions = set(log_of(short).read()["caption"].to_pylist())
    for folder in killed(tmp_path, "archive", 1, stride):
        out = folder / "loss_logging"
        found = Counter(text for path in out.rglob("*.parquet") for text in pq.read_table(path)["caption"].to_pylist())
        assert {text for text in captions if found[text] != 1} == set()
        for step in reported(short):
            (report,) = out.rglob(f"job_{step:09d}.json")
            assert report.read_bytes() == report_at(short, step).read_bytes()


def new(tmp_path: Path) -> Path:
    folder = tmp_path / "before"
    folder.mkdir()
    return folder
