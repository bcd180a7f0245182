"""Trackers that raise, hang, die and lie: training is not slowed, every JSON is there, push delivers the rest once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tracker_files import FileTracker, collect_garbage, lines, once, tensorboard_steps, wandb_steps
from waiting import wait_until

from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.runs.locate import latest_reports
from loss_logging.trackers.ledger import Ledger
from loss_logging.trackers.push import push_job

LAST = 60
SAVED = set(range(10, LAST + 1, 10))
EVERYTHING = set(range(5, LAST + 1, 5))
TROUBLE = 25  # the step at which it begins
CLOSE_SECONDS = 1.0


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    collect_garbage()


def train(root: Path, loggers: list[Any], events: Mapping[int, Callable[[], object]], **options: Any) -> list[str]:
    """Train, with something happening before some of the steps; returns what close() says.

    A trouble that begins lasts until the test ends it, after this has returned: so nothing here waits for its end.
    """
    given: dict[str, Any] = {"log_every": 5, "timeouts": {"flush": 0.1, "close": CLOSE_SECONDS}}
    losses = LossLogger(job_name="job", save_root=root, loggers=loggers, **(given | options))
    reports = []
    for step in range(1, LAST + 1):
        events.get(step, lambda: None)()
        losses.log_batch(step, [step / 8], paths=[f"{step % 5}"], datasets="d", captions=["a caption of some words"])
        if step % 10 == 0:
            reports.append(losses.save_step(step))
        time.sleep(0.01)  # what a step takes
    paths = [report.result(60) for report in reports]
    assert {int(path.stem.rpartition("_")[2]) for path in paths if path is not None} == SAVED
    return losses.close()


def push(root: Path, to: str, **options: Any) -> None:
    """Push, twice: the second time there is nothing left."""
    report = latest_reports(root)["job"]
    pushed = push_job(report, to, options, progress=False)
    assert pushed.failed == []
    assert pushed.reports + pushed.rows > 0
    again = push_job(report, to, options, progress=False)
    assert (again.reports, again.rows, again.failed) == (0, 0, [])


def arrived(root: Path, backend: str, step: int, meanwhile: Callable[[], None] = lambda: None) -> Callable[[], object]:
    """Waits until everything up to ``step`` is known to have arrived."""
    config = TrainConfig(job_name="job", save_root=root)

    def there() -> bool:
        meanwhile()
        return Ledger.of(config, backend).last >= step

    return lambda: bool(wait_until(there, every=0.05))


def wandb_core(of: psutil.Process) -> psutil.Process:
    (core,) = [child for child in of.children() if child.name() == "wandb-core"]
    return core


def reporter() -> psutil.Process:
    (process,) = [child for child in psutil.Process().children() if "loss_logging.training.reporter" in child.cmdline()]
    return process


def end(process: psutil.Process) -> None:
    """A stopped process can be killed only."""
    if process.is_running():
        process.kill()


# --- a backend of one's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["hang", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("raise", "exit", "reject"))]
)
def test_a_backend_in_trouble(kind: str, tmp_path: Path) -> None:
    """In the reporter process: what it refused is said at the end, and pushed once it is well again."""
    out = tmp_path / "tracker.txt"
    name = FileTracker.name
    begin = {TROUBLE: lambda: [arrived(tmp_path, name, 20)(), out.with_suffix(".trouble").write_text(kind)]}
    if kind == "reject":
        begin = {1: lambda: out.with_suffix(".trouble").write_text(kind)}
    undelivered = train(tmp_path, [{"name": name, "out": str(out)}], begin)
    assert undelivered
    out.with_suffix(".trouble").unlink()
    push(tmp_path, name)
    # A report that was made again by a reporter that had said these means before has none: they come as a row.
    config = TrainConfig(job_name="job", save_root=tmp_path)
    rows = {step for step in SAVED if not read_report(config.report_path(step)).recent}
    expected = {("report" if step in SAVED else "scalars", step) for step in EVERYTHING}
    assert once(lines(out)) == expected | {("scalars", step) for step in rows}


@pytest.mark.parametrize("kind", ["hang", pytest.param("raise", marks=pytest.mark.long)])
def test_an_object_in_trouble(kind: str, tmp_path: Path) -> None:
    """The same of a backend that lives in the trainer's process."""
    out = tmp_path / "tracker.txt"
    trouble = out.with_suffix(".trouble")
    begin = {TROUBLE: lambda: [arrived(tmp_path, FileTracker.name, 20)(), trouble.write_text(kind)]}
    (sentence,) = train(tmp_path, [FileTracker(str(out))], begin)
    assert "the reports of steps 30, 40, 50, 60 and 4 rows of scalars not delivered" in sentence
    trouble.unlink()
    wait_until(lambda: not any(FileTracker.name in thread.name for thread in threading.enumerate()))
    push(tmp_path, FileTracker.name, out=str(out))
    assert once(lines(out)) == {("report" if step in SAVED else "scalars", step) for step in EVERYTHING}


def test_what_a_killed_reporter_had_taken_is_delivered_by_the_next(tmp_path: Path) -> None:
    """Its backend hung when it was killed: the reporter that replaces it delivers the rest, each thing once."""
    out = tmp_path / "tracker.txt"
    trouble = out.with_suffix(".trouble")

    def kill() -> None:
        wait_until(trouble.with_suffix(".hung").exists)
        reporter().kill()
        trouble.unlink()

    events = {TROUBLE: lambda: [arrived(tmp_path, FileTracker.name, 20)(), trouble.write_text("hang")], 45: kill}
    timeouts = {"flush": 0.1, "close": 30.0}
    assert train(tmp_path, [{"name": FileTracker.name, "out": str(out)}], events, timeouts=timeouts) == []
    assert once(lines(out)) == {("report" if step in SAVED else "scalars", step) for step in EVERYTHING}
    assert push_job(latest_reports(tmp_path)["job"], FileTracker.name, progress=False).reports == 0


# --- W&B -------------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
def test_wandbs_process_in_trouble(kind: signal.Signals, tmp_path: Path) -> None:
    """W&B's own process is killed or stopped, in a run of our own in the reporter process."""
    found: list[psutil.Process] = []

    def trouble() -> None:
        arrived(tmp_path, "wandb", 20)()
        found.append(wandb_core(reporter()))
        found[0].send_signal(kind)

    undelivered = train(tmp_path, [{"name": "wandb", "project": "p", "mode": "offline"}], {TROUBLE: trouble})
    assert undelivered
    end(found[0])
    push(tmp_path, "wandb")
    assert once(wandb_steps(tmp_path, unfinished=1)) == EVERYTHING
    assert len({path.name for path in tmp_path.rglob("*.wandb")}) == 1


BORROWED = """
import contextlib, json, os, sys, time
from pathlib import Path
import psutil, wandb
sys.path[:0] = [{tests!r}, {faults!r}]
from test_trackers import TROUBLE, arrived, train, wandb_core

root, kind = Path(sys.argv[1]), int(sys.argv[2])
settings = wandb.Settings(console="off", x_transaction_log_flush_interval=0.1)
run = wandb.init(project="trainer", mode="offline", dir=root, settings=settings)
core = wandb_core(psutil.Process())

def log():
    with contextlib.suppress(ConnectionResetError):
        run.log({{"train/loss": 1.0}})

def trouble():
    arrived(root, "wandb", 20, meanwhile=log)()  # the trainer's rows take ours along
    core.send_signal(kind)

events = {{step: log for step in range(1, 100)}} | {{TROUBLE: trouble}}
print(json.dumps(train(root, ["wandb"], events)), flush=True)
if core.is_running():
    core.kill()
os._exit(0)  # W&B's own exit handlers would wait for its process
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.long)])
def test_wandbs_process_in_trouble_in_the_trainers_run(kind: signal.Signals, tmp_path: Path) -> None:
    """The same in a run of the trainer: our part of it does no harm, and what was missed goes to a run of its own."""
    faults = Path(__file__).parent
    program = BORROWED.format(tests=str(faults.parent), faults=str(faults))
    arguments = [sys.executable, "-c", program, tmp_path, str(int(kind))]
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # this process's
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])
    push(tmp_path, "wandb", project="p", mode="offline")
    assert once(wandb_steps(tmp_path, unfinished=1)) == EVERYTHING


# --- TensorBoard on a full disk ---------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_a_full_disk_under_our_event_files(disk: Path, tmp_path: Path) -> None:
    """What the disk refused is not half there: it is said, and pushed when there is room."""
    logger = {"name": "tensorboard", "log_dir": str(disk / "events")}
    fill_it = {TROUBLE: lambda: [arrived(tmp_path, "tensorboard", 20)(), fill(disk)]}
    undelivered = train(tmp_path, [logger], fill_it, timeouts={"flush": 0.1, "close": 3.0})
    assert "No space left on device" in undelivered[0]
    assert {20} <= once(tensorboard_steps(disk)) < EVERYTHING
    (disk / "ballast").unlink()
    push(tmp_path, "tensorboard")
    assert once(tensorboard_steps(disk)) == EVERYTHING


def test_a_disk_that_has_room_again_in_time(disk: Path, tmp_path: Path) -> None:
    """An event file goes on where it was when the disk takes it again; nothing is missing or there twice."""
    logger = {"name": "tensorboard", "log_dir": str(disk / "events")}
    events = {
        TROUBLE: lambda: [arrived(tmp_path, "tensorboard", 20)(), fill(disk)],
        35: lambda: [time.sleep(0.3), (disk / "ballast").unlink()],
    }
    assert train(tmp_path, [logger], events, timeouts={"flush": 0.1, "close": 30.0}) == []
    assert once(tensorboard_steps(disk)) == EVERYTHING


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # SummaryWriter's own thread
def test_a_full_disk_under_the_trainers_summary_writer(disk: Path, tmp_path: Path) -> None:
    """The trainer's SummaryWriter breaks; we say so, and push writes what it missed to files of our own.

    The one report that it broke at may be in its file in part.
    """
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(disk / "events"))
    fill_it = {TROUBLE: lambda: [arrived(tmp_path, "tensorboard", 20)(), fill(disk)]}
    undelivered = train(tmp_path, [{"name": "tensorboard", "writer": writer}], fill_it)
    assert "No space left on device" in undelivered[0]
    in_writer = once(tensorboard_steps(disk))
    push(tmp_path, "tensorboard")
    ours = once(tensorboard_steps(tmp_path / "loss_logging" / "tensorboard"))
    assert in_writer | ours == EVERYTHING
    assert in_writer & ours <= {30}


# --- longer ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_wandbs_process_killed_at_any_moment(seed: int, tmp_path: Path) -> None:
    """Wherever the kill falls nothing is missing in the end; only what W&B had just been given may be there twice."""
    step = 11 + (seed * 7) % 45

    def trouble() -> None:
        time.sleep(seed / 20)
        wandb_core(reporter()).kill()

    there = max(5, step - step % 5 - 15)
    start = {there + 3: arrived(tmp_path, "wandb", there)}
    train(tmp_path, [{"name": "wandb", "project": "p", "mode": "offline"}], start | {step: trouble})
    push(tmp_path, "wandb")
    steps = Counter(wandb_steps(tmp_path, unfinished=1))
    assert set(steps) == EVERYTHING
    assert set(steps.values()) <= {1, 2}
    assert all(there < one < step for one, times in steps.items() if times == 2)
