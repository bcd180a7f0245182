"""loss-logging push: what a tracker has missed arrives, once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from command import loss_logging
from tracker_files import collect_garbage, lines, once, tensorboard_steps, wandb_steps
from waiting import wait_until
from wandb_file import history

from loss_logging import LossLogger, TrainConfig
from loss_logging.errors import LossLoggingError
from loss_logging.runs.locate import latest_reports
from loss_logging.trackers.ledger import Ledger
from loss_logging.trackers.push import Pushed, push_job

TRACKER = "tracker_files:FileTracker"
SAVED = {10, 20, 35}
BETWEEN = {4, 8, 12, 16, 24, 28, 32, 36, 38}
"""Steps of the rows of scalars of `train`: the log_every grid without save steps, and the end of the run."""


def tracker(root: Path) -> dict[str, str]:
    return {"name": TRACKER, "out": str(root / "tracker.txt")}


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    collect_garbage()


def train(root: Path, steps: range = range(1, 39), resume: int | None = None, **options: Any) -> list[str]:
    """Train on ``steps``; returns what close() says."""
    given: dict[str, Any] = {"loggers": [], "log_every": 4, "reporter": "inline", "timeouts": {"flush": 0.1}}
    with LossLogger(job_name="job", save_root=root, **(given | options)) as losses:
        if resume is not None:
            losses.resume(resume)
        for step in steps:
            losses.log_batch(step, [step / 8], paths=[f"{step % 5}"], datasets="d", captions=["a caption of words"])
            if step in SAVED:
                losses.save_step(step).result()
        return losses.close()


def push(root: Path, to: str = TRACKER, options: Mapping[str, Any] | None = None) -> Pushed:
    return push_job(latest_reports(root)["job"], to, options, progress=False)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return loss_logging("push", *arguments, COLUMNS="200")


def test_what_was_missed_is_what_would_have_been_written(tmp_path: Path) -> None:
    """A run without the tracker, pushed, gives it the very lines that a run with the tracker gave it."""
    train(tmp_path / "with", loggers=[tracker(tmp_path / "with")])
    train(tmp_path / "without")
    pushed = push(tmp_path / "without", options=tracker(tmp_path / "without"))
    assert (pushed.reports, pushed.rows, pushed.failed) == (len(SAVED), len(BETWEEN), [])
    expected = (tmp_path / "with" / "tracker.txt").read_text()
    assert (tmp_path / "without" / "tracker.txt").read_text() == expected
    assert once(lines(tmp_path / "with" / "tracker.txt")) == {("report", s) for s in SAVED} | {
        ("scalars", s) for s in BETWEEN
    }


def test_only_once(tmp_path: Path) -> None:
    """Neither after a run that lacked nothing nor a second time does push write anything, and it says so."""
    train(tmp_path, loggers=[tracker(tmp_path)])
    before = (tmp_path / "tracker.txt").read_text()
    done = command(tmp_path, "--to", TRACKER)
    assert (done.returncode, done.stdout.strip()) == (0, "job: nothing was missed")
    assert (tmp_path / "tracker.txt").read_text() == before


def test_a_report_that_is_refused_is_said_and_tried_again(tmp_path: Path) -> None:
    """The others arrive, the exit status and a sentence tell of the one, and the next push delivers it alone."""
    train(tmp_path, loggers=[tracker(tmp_path)], timeouts={"close": 1.0})
    Ledger.of(TrainConfig(job_name="job", save_root=tmp_path), TRACKER).path.unlink()
    (tmp_path / "tracker.txt").unlink()
    (tmp_path / "tracker.trouble").write_text("reject")
    done = command(tmp_path, "--to", TRACKER)
    assert done.returncode == 1
    assert "the report of step 20 was not delivered: TypeError: mixed column" in done.stdout
    assert "job: 2 reports and 9 rows of scalars delivered" in done.stdout
    (tmp_path / "tracker.trouble").unlink()
    assert (push(tmp_path).reports, push(tmp_path).reports) == (1, 0)
    assert len(once(lines(tmp_path / "tracker.txt"))) == len(SAVED) + len(BETWEEN)


def test_a_push_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Only what the tracker was taking at the time of the kill may come a second time."""
    train(tmp_path)
    (tmp_path / "tracker.trouble").write_text("stall")
    program = (
        "import sys; from pathlib import Path; from loss_logging.trackers.push import *; "
        "from loss_logging.runs.locate import latest_reports; "
        f"push_job(latest_reports(Path(sys.argv[1]))['job'], {TRACKER!r}, {{'out': sys.argv[2]}})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    out = tmp_path / "tracker.txt"
    process = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path, out], env=environment, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: process.poll() is not None or (out.exists() and len(lines(out)) >= 4))
    process.kill()
    process.wait()
    (tmp_path / "tracker.trouble").unlink()
    assert push(tmp_path, options={"out": str(out)}).failed == []
    counts = Counter(lines(out))
    assert set(counts) == {("report", s) for s in SAVED} | {("scalars", s) for s in BETWEEN}
    assert sum(counts.values()) <= len(counts) + 1


def test_a_damaged_report_costs_the_others_nothing(tmp_path: Path) -> None:
    """A JSON that cannot be read is named; what else was missed arrives."""
    train(tmp_path)
    (tmp_path / "loss_logging" / "job_000000020.json").write_text("{")
    pushed = push(tmp_path, options=tracker(tmp_path))
    assert pushed.reports == 2
    assert "the report of step 20 was not delivered" in pushed.failed[0]


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    """While a LossLogger is open, push refuses, by name."""
    train(tmp_path)
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.resume(20)
        losses.log_batch(21, [0.5], paths=["a"], datasets="d", captions=["c"])
        with pytest.raises(LossLoggingError, match="not closed yet"):
            push(tmp_path, options=tracker(tmp_path))


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        ("tensorbord", {}, "did you mean tensorboard"),
        ("memory", {}, "writes to an object of the trainer"),
        ("wandb", {}, "--project"),
        (TRACKER, {"out": "x", "colour": "red"}, "has no option 'colour'"),
    ],
)
def test_what_cannot_be_is_said(to: str, options: dict[str, str], said: str, tmp_path: Path) -> None:
    """An unknown target, one that is gone, and an impossible option are errors that say what to do."""
    train(tmp_path, range(1, 11))
    with pytest.raises(LossLoggingError, match=said):
        push(tmp_path, to, options)


def test_an_unknown_job_is_said(tmp_path: Path) -> None:
    """The command ends with status 1 and names the jobs that are there."""
    train(tmp_path, range(1, 11))
    done = command(tmp_path, "--to", "tensorboard", "--job", "cats")
    assert done.returncode == 1
    assert "holds no report of the job 'cats'; there are: job" in done.stderr


def test_a_folder_without_reports_is_said(tmp_path: Path) -> None:
    """An empty folder is an error that names it."""
    with pytest.raises(LossLoggingError, match="holds no report"):
        latest_reports(tmp_path)


def test_a_folder_that_was_moved(tmp_path: Path) -> None:
    """The folder may have another name by now, and be given as save_root or as its loss_logging."""
    train(tmp_path / "here", loggers=["tensorboard"])
    Ledger.of(TrainConfig(job_name="job", save_root=tmp_path / "here"), "tensorboard").path.unlink()
    shutil.rmtree(tmp_path / "here" / "loss_logging" / "tensorboard")
    (tmp_path / "here").rename(tmp_path / "there")
    assert push(tmp_path / "there" / "loss_logging", "tensorboard").reports == 3
    assert not (tmp_path / "here").exists()
    assert once(tensorboard_steps(tmp_path / "there")) == SAVED | BETWEEN


def test_older_steps_hide_no_newer_ones_in_tensorboard(tmp_path: Path) -> None:
    """A gap in the middle is filled in a folder of its own; every step is shown once, and later ones still are."""
    train(tmp_path, loggers=["tensorboard"])
    path = Ledger.of(TrainConfig(job_name="job", save_root=tmp_path), "tensorboard").path
    folder = tmp_path / "loss_logging" / "tensorboard" / "job"
    assert once(tensorboard_steps(folder)) == SAVED | BETWEEN
    path.write_text(path.read_text().replace("report 20\n", "").replace("scalars 24\n", ""))
    assert push(tmp_path, "tensorboard").failed == []
    (missed,) = folder.glob("*/")
    assert missed.name == "missed_000000020"
    assert once(tensorboard_steps(missed)) == {20, 24}
    shutil.rmtree(missed)
    assert once(tensorboard_steps(folder)) == SAVED | BETWEEN


def test_a_tail_goes_where_the_rest_is(tmp_path: Path) -> None:
    """What is newer than everything that TensorBoard has joins it in the same folder."""
    train(tmp_path, range(1, 21), loggers=["tensorboard"])
    train(tmp_path, range(21, 39), resume=20)
    assert (push(tmp_path, "tensorboard").reports, push(tmp_path, "tensorboard").reports) == (1, 0)
    folder = tmp_path / "loss_logging" / "tensorboard" / "job"
    assert not list(folder.glob("*/"))
    assert once(tensorboard_steps(folder)) == SAVED | BETWEEN


@pytest.mark.parametrize("killed", [True, pytest.param(False, marks=pytest.mark.long)])
def test_resume_shows_nothing_twice(tmp_path: Path, killed: bool) -> None:
    """A run that wrote up to step 38 and resumes at 20 shows each step once, in TensorBoard and in one W&B run."""
    loggers = ["tensorboard", {"name": "wandb", "project": "p", "mode": "offline"}]
    train(tmp_path, loggers=loggers)
    if killed:  # it got no further than to resume
        with LossLogger(job_name="job", save_root=tmp_path, loggers=loggers) as losses:
            losses.resume(30)
    train(tmp_path, range(21, 39), resume=20, loggers=loggers)
    assert once(tensorboard_steps(tmp_path / "loss_logging" / "tensorboard" / "job")) == SAVED | BETWEEN
    assert once(wandb_steps(tmp_path)) == SAVED | BETWEEN
    assert push(tmp_path, "tensorboard").rows == push(tmp_path, "wandb").rows == 0
    train(tmp_path, range(39, 43), resume=38, loggers=loggers)
    runs = history(tmp_path)
    assert len({path.stem for path in tmp_path.rglob("*.wandb")}) == 1
    numbers = [row["_step"] for run in runs for row in run]
    assert len(once(numbers)) == len(numbers)
    assert sorted(numbers) == numbers


def test_a_run_that_starts_over_gets_a_run_of_its_own(tmp_path: Path) -> None:
    """resume(0), and a start in a used folder, begin a new W&B run and deliver everything anew."""
    loggers = [{"name": "wandb", "project": "p", "mode": "offline"}]
    for resume in (None, 0, None):
        train(tmp_path, loggers=loggers, resume=resume)
    runs = history(tmp_path / "loss_logging" / "wandb")
    assert [once([row["loss_logging/step"] for row in run]) for run in runs] == [SAVED | BETWEEN] * 3
    assert len({path.stem for path in tmp_path.rglob("*.wandb")}) == 3
    (archive,) = (tmp_path / "loss_logging" / "archive").iterdir()
    assert (archive / "delivered" / "wandb.ledger").exists()
