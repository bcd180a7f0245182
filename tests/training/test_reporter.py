"""loss_logging/training/reporter.py and reporter_client.py: the process, its deaths, and the deaths of its trainer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import HOSTILE, record, strict_json, write
from reporting import gone, log, logger, reporters
from waiting import wait_until
from warm import SCRIPT, WarmProcess, WarmPython, with_torch, without_torch

from loss_logging import TrainConfig
from loss_logging.records.log import RecordLog
from loss_logging.statistics.captions import CaptionStatistics
from loss_logging.trackers import ledger
from loss_logging.trackers.delivery import Dispatcher
from loss_logging.trackers.memory import MemoryBackend
from loss_logging.training.messages import Save, Start
from loss_logging.training.ranks.meeting import Meeting
from loss_logging.training.reporter_client import InlineReporter, ReporterProcess, _Replies

pytestmark = [pytest.mark.usefixtures("nothing_stays"), pytest.mark.skipif(os.name == "nt", reason="signals")]


# --- the same report ------------------------------------------------------------------------------------------------


def test_the_process_reports_what_inline_reports(tmp_path: Path) -> None:
    """Byte for byte the same JSON over the same records, apart from when it was created."""
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[], save_every=4)
    config.records_dir.mkdir(parents=True)
    records = [
        record(path=f"{i % 50}", dataset="ab"[i % 2], loss=(i * 37 % 101) / 64, step=i // 20, caption=f"item {i % 50}",
               timestep=(i % 7) / 7, loss_empty=0.5)
        for i in range(400)
    ]  # fmt: skip
    records += [record(path=f"h{text}", dataset=text, caption=text, step=20) for text in HOSTILE[:-4]]
    write(RecordLog(config.records_dir), records)
    run = Meeting(config.paths).open()
    start = Start(config=config.to_dict(), backends=[], world_size=1, run=run, resumed_from=None, scalars_through=-1, forward=True)  # fmt: skip  # noqa: E501
    texts, scalars = [], []
    for kind in (InlineReporter, ReporterProcess):
        ledger.forget(config)
        memory = MemoryBackend()
        backends = Dispatcher([memory], config)
        reporter = kind(start, backends)
        reporter.notice(15)
        for step in (3, 10, 20):
            future: Future[Path | None] = Future()
            reporter.save(Save(step, ["a warning"]), future)
            path = future.result(30)
            assert path is not None
            strict_json(path)
            texts.append(re.sub(r'"created":"[^"]*"', "", path.read_text("utf-8")))
        assert reporter.close(20, 20) == []
        assert backends.close(20) == []
        scalars.append(memory.scalars)
    assert texts[:3] == texts[3:]
    assert scalars[0] == scalars[1]


def test_captions_are_checked_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two save steps the log is read for captions at most 16 times, however often records come."""
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[], save_every=160, log_every=1000)
    config.records_dir.mkdir(parents=True)
    write(RecordLog(config.records_dir), [record(step=step, caption=f"cat {step}") for step in range(1, 161)])
    start = Start(config.to_dict(), [], 1, Meeting(config.paths).open(), None, -1, False)
    reporter = InlineReporter(start, Dispatcher([], config))
    read: list[dict[str, int]] = []
    pieces = CaptionStatistics._pieces
    monkeypatch.setattr(CaptionStatistics, "_pieces", lambda self, **steps: read.append(steps) or pieces(self, **steps))
    for step in range(1, 161):
        reporter.notice(step)
    assert [steps["through"] for steps in read] == list(range(0, 160, 10))
    reporter.close(160, 20)


def test_a_step_saved_twice_is_answered_twice() -> None:
    """The second Future waits for the second report, which has more records."""
    from loss_logging.training.messages import Saved

    replies = _Replies(Dispatcher([], TrainConfig(job_name="run", save_root=".")))
    first: Future[Path | None] = Future()
    second: Future[Path | None] = Future()
    replies.expect(1, first)
    replies.expect(2, second)
    replies(Saved(5, "run_000000005.json", None, 1))
    assert first.done()
    assert not second.done()


def test_the_reporter_leaves_the_processor_to_training(tmp_path: Path) -> None:
    """Its niceness counts against the trainer too where Linux schedules sessions as groups."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        assert losses.save_step(1).result(30) is not None
        (process,) = reporters()
        assert process.nice() == min(psutil.Process().nice() + 10, 19)  # the most there is
        group = Path(f"/proc/{process.pid}/autogroup")
        if group.exists() and group.read_text("ascii").strip():
            assert group.read_text("ascii").split()[-1] == "10"


# --- deaths of the reporter -----------------------------------------------------------------------------------------


class HungAtClose(MemoryBackend):
    """Lives in the reporter process; says where, and hangs in close()."""

    def __init__(self, note: str) -> None:
        super().__init__()
        self._note = Path(note)

    @classmethod
    def requirements(cls, **_: Any) -> Any:
        from loss_logging.trackers.backends import Requirements

        return Requirements()

    def close(self) -> None:
        self._note.write_text(str(os.getpid()))
        threading.Event().wait()


# --- deaths of the trainer ------------------------------------------------------------------------------------------

TRAIN = """
import os, signal, sys, threading, time
from waiting import wait_until
from loss_logging import LossLogger

def make(**options):
    return LossLogger(**(dict(job_name="run", save_root=sys.argv[1], loggers=[], timeouts={"flush": 0.2}) | options))

def log(losses, step):
    losses.log_batch(step, [0.5, 0.25], paths=["a", "b"], datasets="d", captions=["one cat", "two cats"])
"""


def train(folder: Path, script: str, **options: Any) -> subprocess.Popen[str]:
    """Run a training script that is a file without a ``__main__`` guard."""
    path = folder / "train.py"
    path.write_text(TRAIN + script, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(path), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([*map(str, Path(__file__).parents[1:3]), os.environ.get("PYTHONPATH", "")])},
        **options,
    )


def train_warm(folder: Path, script: str, python: WarmPython | None = None) -> WarmProcess:
    """The same in a process that has imported what it needs."""
    paths = {"PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[1:3]))}
    python = python or without_torch()
    path = folder / "train.py"
    path.write_text(TRAIN + script, encoding="utf-8")
    return python.start(SCRIPT, str(path), str(folder), environment=paths)


def finish(process: subprocess.Popen[str] | WarmProcess, code: int = 0) -> str:
    """Its output, once it ended with ``code`` and nothing on standard error."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    if code == 0:
        assert err == ""
    return out


def report(folder: Path, step: int) -> Any:
    return strict_json(folder / "loss_logging" / f"run_{step:09d}.json")


def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    """The script runs once, and its save step is reported; the Future may be ignored."""
    out = finish(
        train(
            tmp_path,
            """
print("once")
with make() as losses:
    for step in range(1, 6):
        log(losses, step)
    losses.save_step(5)
""",
        )
    )
    assert out == "once\n"
    assert report(tmp_path, 5)["global"]["count"] == 10


def test_a_script_without_a_with_block(tmp_path: Path) -> None:
    """What was logged and asked for before the interpreter ends is written, also when that is at once."""
    finish(
        train(tmp_path, "losses = make(timeouts={'flush': 60})\nlog(losses, 1)\nlosses.save_step(1)\nlog(losses, 2)\n")
    )
    assert report(tmp_path, 1)["global"]["count"] == 2
    assert RecordLog(tmp_path / "loss_logging" / "records" / "run").read()["step"].to_pylist() == [1, 1, 2, 2]


def test_an_exception_in_training(tmp_path: Path) -> None:
    """Everything up to the exception is written, and the exception is the script's own."""
    process = train(
        tmp_path,
        """
with make(timeouts={"flush": 60}) as losses:
    log(losses, 1)
    losses.save_step(1)
    log(losses, 2)
    raise ValueError("diverged")
""",
    )
    _, err = process.communicate(timeout=60)
    assert err.rstrip().endswith("ValueError: diverged")
    assert report(tmp_path, 1)["global"]["count"] == 2
    assert RecordLog(tmp_path / "loss_logging" / "records" / "run").read().num_rows == 4


ENDLESS = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background ignore it, and pass that on
with make() as losses:
    log(losses, 1)
    losses.save_step(1).result()
    log(losses, 2)
    print("ready", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda ending: ending.name)
def test_an_orderly_end(tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C, which reaches the whole terminal, and SIGTERM: what was logged is on disk, no reporter stays."""
    process = train(tmp_path, ENDLESS, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (child,) = reporters(psutil.Process(process.pid))
    os.killpg(process.pid, ending)
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (-ending, 128 + ending)
    assert RecordLog(tmp_path / "loss_logging" / "records" / "run").read().num_rows == 4
    wait_until(lambda: gone(child.pid))


def test_a_killed_trainer(tmp_path: Path) -> None:
    """What was asked for is still reported, the records flushed so far are in the log, the reporter ends by itself,
    and a new run can go on from there."""
    process = train_warm(
        tmp_path,
        """
losses = make()
log(losses, 1)
losses.save_step(1).result()
log(losses, 2)
wait_until(lambda: len(list(losses.config.records_dir.glob("rank*.parquet"))) >= 2)
print("ready", flush=True)
signal.pause()
""",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (child,) = reporters(psutil.Process(process.pid))
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: gone(child.pid))
    with logger(tmp_path) as losses:
        losses.resume(1)
        log(losses, 2)
        log(losses, 3)
        losses.save_step(3).result(30)
    got = report(tmp_path, 3)
    assert got["global"]["count"] == 6
    assert got["job"]["resumed_from"] == 1


def test_killed_with_a_save_step_under_way(tmp_path: Path) -> None:
    """A trainer that dies right after its save step was handed over leaves the report behind."""
    process = train_warm(
        tmp_path,
        """
losses = make()
log(losses, 1)
losses.save_step(1).result()
import psutil
(child,) = psutil.Process().children()
child.suspend()
log(losses, 2)
losses.save_step(2)
time.sleep(1)  # until the command is in the pipe, which nothing can tell
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.wait(60)
    psutil.Process(pid).resume()
    wait_until(lambda: gone(pid))
    process.communicate()
    assert report(tmp_path, 2)["global"]["count"] == 4


def test_stdout_stays_the_trainers(tmp_path: Path) -> None:
    """A tracker that prints in the reporter process breaks no reply, and what it prints is seen on stderr."""
    (tmp_path / "noisy.py").write_text(
        "import sys\nfrom loss_logging.trackers.memory import MemoryBackend\n"
        "from loss_logging.trackers.backends import Requirements\n"
        "class Noisy(MemoryBackend):\n"
        "    @classmethod\n    def requirements(cls): return Requirements()\n"
        "    def write(self, report): print('hello from the tracker', flush=True)\n",
        encoding="utf-8",
    )
    process = train_warm(
        tmp_path,
        "with make(loggers=['noisy:Noisy']) as losses:\n"
        "    log(losses, 1)\n"
        "    print(losses.save_step(1).result().name)\n",
    )
    out, err = process.communicate(timeout=60)
    assert out == "run_000000001.json\n"
    assert "hello from the tracker" in err


def test_the_process_is_polite(tmp_path: Path) -> None:
    """It has a lower priority than the trainer, and imports neither torch nor, without pairs and trackers, pandas or
    scipy, which are installed."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        losses.save_step(1).result(30)
        (process,) = reporters()
        assert process.nice() > psutil.Process().nice()
        if sys.platform == "linux":
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            assert [name for name in ("libtorch", "/pandas/", "/scipy/") if name in maps] == []


@pytest.mark.xdist_group("torch")
def test_forked_workers_are_harmless(tmp_path: Path) -> None:
    """A DataLoader with workers, forked while the logger runs, neither hangs nor writes; nor does a child that exits
    through atexit."""
    finish(
        train_warm(
            tmp_path,
            """
import warnings
warnings.filterwarnings("ignore", message=".*fork.*")
import torch
with make() as losses:
    log(losses, 1)
    loader = torch.utils.data.DataLoader(range(8), num_workers=2, multiprocessing_context="fork")
    for step, _ in enumerate(loader, 2):
        log(losses, step)
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    log(losses, 10)
    losses.save_step(10).result()
""",
            with_torch(),
        )
    )
    assert report(tmp_path, 10)["global"]["count"] == 20


def test_json_is_plain_json(tmp_path: Path) -> None:
    """Any JSON reader reads the report."""
    with logger(tmp_path, reporter="inline") as losses:
        log(losses, 1)
        path = losses.save_step(1).result()
    assert path is not None
    assert json.loads(path.read_bytes())["schema"] == "loss_logging/report/2"
