"""Real processes are killed: whatever is on disk is whole, nothing old is missing, nothing counts twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pyarrow.parquet as pq
import pytest
from helpers import assert_same_figures

from loss_logging import read_report
from loss_logging.artifacts import report_schema
from loss_logging.record_log import RecordLog

FLUSH = 0.2
SLACK = 1.5  # seconds that a busy machine may take between a flush that is due and the shard on disk
LAST = 400

TRAINING = f"""
import sys, time
from loss_logging import LossLogger

root, resume = sys.argv[1], int(sys.argv[2])
with LossLogger(job_name="job", save_root=root, loggers=[], save_every=20, flush_seconds={FLUSH}) as losses:
    losses.resume(resume)
    for step in range(resume + 1, {LAST} + 1):
        losses.log_batch(
            step,
            [((step * 7 + i * 13) % 97) / 10 for i in range(4)],
            paths=[f"{{(step * 4 + i) % 60}}.png" for i in range(4)],
            datasets=[f"d{{i % 2}}" for i in range(4)],
            captions=[f"a caption of record {{step}}-{{i}}" for i in range(4)],
        )
        print(step, time.time(), flush=True)
        if step % 20 == 0:
            losses.save_step(step)
        time.sleep(0.005)
"""


def train(root: Path, resume: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", TRAINING, str(root), str(resume)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def train_to_the_end(root: Path, resume: int) -> None:
    process = train(root, resume)
    process.communicate(timeout=120)
    assert process.returncode == 0


def last_report(root: Path) -> int:
    found = sorted((root / "loss_logging").glob("job_*.json"))
    return int(found[-1].stem.rpartition("_")[2]) if found else 0


def assert_whole(root: Path, resumed: int, logged: list[tuple[int, float]], killed: float) -> None:
    """Every file is whole or a dot file; each record is there once, and all that are older than the flush interval."""
    folder = root / "loss_logging"
    for path in folder.glob("*.json"):
        jsonschema.validate(json.loads(path.read_text("utf-8")), report_schema())
    for path in folder.rglob("[!.]*.parquet"):
        pq.read_table(path)
    captions = Counter(RecordLog(folder / "records" / "job").read()["caption"].to_pylist())
    assert set(captions.values()) <= {1}
    old = [step for step, at in logged if at < killed - FLUSH - SLACK]
    expected = {f"a caption of record {step}-{i}" for step in [*range(1, resumed + 1), *old] for i in range(4)}
    assert expected <= captions.keys()


def figures(path: Path) -> dict[str, Any]:
    report = json.loads(path.read_text("utf-8"))
    return {key: report[key] for key in ("global", "datasets", "flagged", "flagged_summary", "worst", "warnings")}


def kill_and_resume(root: Path, kills: int, victim: str) -> None:
    rng = random.Random(f"{victim} {kills}")
    for _ in range(kills):
        resumed = last_report(root)
        if resumed >= LAST:
            break
        process = train(root, resumed)
        assert process.stdout is not None
        logged = [(int(step), float(at)) for step, at in (process.stdout.readline().split() for _ in range(3))]
        time.sleep(rng.uniform(0.0, 1.2))
        children = psutil.Process(process.pid).children()
        if victim in ("reporter", "both"):
            for child in children:
                child.kill()
        if victim in ("trainer", "both"):
            process.kill()
        killed = time.time()
        out, _ = process.communicate(timeout=120)
        if victim == "reporter":
            assert process.returncode == 0
            assert last_report(root) == LAST
        logged += [
            (int(line.split()[0]), float(line.split()[1])) for line in out.splitlines() if len(line.split()) == 2
        ]
        for child in children:  # an orphan finishes what it was asked for, and ends
            child.wait(30)
        assert_whole(root, resumed, logged, killed)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("uninterrupted")
    train_to_the_end(root, 0)
    return figures(root / "loss_logging" / f"job_{LAST:09d}.json")


@pytest.mark.parametrize("victim", ["trainer", "reporter", "both"])
@pytest.mark.parametrize("kills", [7, pytest.param(70, marks=pytest.mark.long)])
def test_killed_and_resumed(victim: str, kills: int, tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    """Killed at random moments and resumed from its last report, a run ends with the report of an unbroken one."""
    kill_and_resume(tmp_path, kills, victim)
    resumed = last_report(tmp_path)
    if resumed < LAST:
        train_to_the_end(tmp_path, resumed)
    assert_same_figures(figures(tmp_path / "loss_logging" / f"job_{LAST:09d}.json"), uninterrupted)


KILL_POINTS = """
import os, sys
from pathlib import Path
from loss_logging import LossReport
from loss_logging.artifacts import write_report
from loss_logging.columns import table_from_records
from loss_logging.record_log import RecordLog
from loss_logging.report import Job, Summary

left = int(sys.argv[3])

def deadly(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        result = function(*args, **kwargs)
        left -= 1
        if left == 0:
            os._exit(9)
        return result
    return call

folder = Path(sys.argv[1])
os.fsync, Path.replace, Path.unlink = deadly(os.fsync), deadly(Path.replace), deadly(Path.unlink)
log = RecordLog(folder)
if sys.argv[2] == "compact":
    log.compact()
elif sys.argv[2] == "truncate":
    log.truncate(10)
elif sys.argv[2] == "write":
    new = {"path": "new", "dataset": "d", "caption": "c", "loss": 1.0, "step": 99}
    log.write(table_from_records([new]).to_batches())
else:
    summary = Summary(1, 1.0, 1.0, 1.0, 1.0, 0.0, 0, {})
    write_report(folder / "job_000000001.json", LossReport(job=Job("new", 1, ""), global_=summary))
"""


@pytest.mark.parametrize("work", ["compact", "truncate", "write", "report"])
def test_killed_at_every_kind_of_point(work: str, tmp_path: Path) -> None:
    """Before and after each fsync, rename and removal: the log and the report are as before, or as after."""
    from loss_logging.columns import table_from_records

    points = {
        "compact": [1, 2, 3, 4, 5, 6, 7, 13, 24, 37, 38],
        "truncate": [1, 3, 4, 9],
        "write": [1, 2, 3, 4, 5],
        "report": [1, 2, 3, 4, 5],
    }
    for point in points[work]:
        folder = tmp_path / f"{work}-{point}"
        folder.mkdir()
        log = RecordLog(folder)
        for step in range(18):
            rows = [
                {"path": f"{step}-{i}", "dataset": "d", "caption": "c", "loss": 1.0, "step": step} for i in range(3)
            ]
            log.write(table_from_records(rows).to_batches())
        before = Counter(log.read()["path"].to_pylist())
        report = folder / "job_000000001.json"
        done = subprocess.run([sys.executable, "-c", KILL_POINTS, folder, work, str(point)], timeout=60)
        assert done.returncode in (0, 9)
        after = Counter(RecordLog(folder).read()["path"].to_pylist())
        assert set(after.values()) == {1}
        kept = {path for path in before if work != "truncate" or int(path.split("-")[0]) <= 10}
        assert kept <= after.keys() <= before.keys() | {"new"}
        if report.exists():
            assert read_report(report).job.name == "new"
        if work == "truncate":  # asked again, it finishes
            RecordLog(folder).truncate(10)
            assert RecordLog(folder).read().num_rows == 33


def test_sigterm_flushes(tmp_path: Path) -> None:
    """A job scheduler's SIGTERM ends the run with everything on disk, and with the signal's exit status."""
    process = train(tmp_path, 0)
    assert process.stdout is not None
    for _ in range(30):
        last = process.stdout.readline()
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    complete = [line for line in [last, *out.splitlines()] if len(line.split()) == 2]
    steps = RecordLog(tmp_path / "loss_logging" / "records" / "job").read()["step"].to_pylist()
    assert max(steps) >= int(complete[-1].split()[0])


def test_reporter_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    """A reporter that no longer answers is ended and started again, and the report comes."""
    program = TRAINING.replace(
        "import sys, time", "import sys, time\nimport loss_logging.reporter_client as c; c._SILENT_SECONDS = 7.0"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    (child,) = psutil.Process(process.pid).children()
    time.sleep(1)
    child.suspend()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert last_report(tmp_path) == LAST
