"""One logger and many threads, forks, copies, and cells that are run again: what is logged is there, or it is said."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import finish, run_script
from torch.utils.data import DataLoader

from loss_logging import LossLogger, read_report
from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.runs.lock import is_locked

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def make(folder: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "run", "save_root": folder, "loggers": [], "reporter": "inline"}
    return LossLogger(**(defaults | options))


def log(losses: LossLogger, step: int, name: object = "a", n: int = 1) -> None:
    losses.log_batch(step, [0.5] * n, paths=[f"{name}"] * n, datasets="d", captions=["a cat on a sofa"] * n)


def records(folder: Path) -> Path:
    return folder / "loss_logging" / "records" / "run"


def paths(folder: Path) -> list[str]:
    got: list[str] = RecordLog(records(folder)).read()["path"].to_pylist()
    return got


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


# --- threads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["inline", pytest.param("process", marks=pytest.mark.long)])
def test_the_first_batches_of_many_threads(tmp_path: Path, reporter: str) -> None:
    """However many begin at once, there is one recorder, and every record is there once."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for trial in range(3):
            folder = tmp_path / str(trial)
            losses = make(folder, reporter=reporter)
            together = threading.Barrier(12)

            def work(thread: int, losses: LossLogger = losses, together: threading.Barrier = together) -> None:
                together.wait()
                for i in range(60):
                    log(losses, 1, f"{thread}-{i}")

            threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            path = losses.save_step(1).result(60)
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("loss_logging-recorder") == 1
            assert losses.close() == []
            assert path is not None
            assert read_report(path).global_.count == 720
            assert Counter(paths(folder)) == Counter(f"{t}-{i}" for t in range(12) for i in range(60))
    finally:
        sys.setswitchinterval(interval)


def test_threads_that_go_on_while_another_closes(tmp_path: Path) -> None:
    """A batch is in the log or is refused with an error; none is accepted and lost."""
    losses, taken = make(tmp_path), []
    started = threading.Barrier(4)

    def work(thread: int) -> None:
        started.wait()
        try:
            for i in range(100_000):
                log(losses, 1, f"{thread}-{i}")
                taken.append(f"{thread}-{i}")
        except LossLoggingError as error:
            assert "is closed" in str(error)  # noqa: PT017

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    while len(taken) < 50:
        threading.Event().wait(0.001)
    assert losses.close() == []
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == sorted(paths(tmp_path))


# --- forks --------------------------------------------------------------------------------------------------------


def fork(child: Callable[[], object]) -> int:
    """Run it in a child of a fork, which must end; its exit status: 0 when it returned something true."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            signal.alarm(30)
            code = 0 if child() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("before", "reporter"),
    [
        (0, "process"),
        (1, "inline"),
        pytest.param(0, "inline", marks=pytest.mark.long),
        pytest.param(1, "process", marks=pytest.mark.long),
    ],
)
def test_a_forked_child_logs_nothing_and_says_so_once(
    tmp_path: Path, reporter: str, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the first batch and after it: nothing hangs, the future answers, and the parent's run is whole."""
    losses = make(tmp_path, reporter=reporter)
    for step in range(before):
        log(losses, step, "parent")

    def child() -> bool:
        for step in range(5):
            log(losses, step, "child")
        losses.log_records(1, [{"path": "child", "dataset": "d", "caption": "c", "loss": 1.0}])
        losses.resume(0)
        answers = [losses.save_step(step).result(10) for step in (1, 2, 2)]
        closed = losses.close()
        losses.save_step(3).result(10)
        said = [text for text in warnings(caplog) if "forked" in text]
        return answers == [None] * 3 and closed == [] and len(said) == 1 and "it logs nothing" in said[0]

    assert fork(child) == 0
    assert "loss_logging-recorder" not in [t.name for t in threading.enumerate()] or before
    log(losses, 2, "parent")
    path = losses.save_step(2).result(60)
    assert losses.close() == []
    assert path is not None
    assert read_report(path).global_.count == before + 1
    assert set(paths(tmp_path)) == {"parent"}


def _in_child(losses: LossLogger, answer: Any) -> None:
    log(losses, 7, "child")
    answer.put((losses.save_step(7).result(10), losses.close()))


def test_multiprocessing(tmp_path: Path) -> None:
    """A process that multiprocessing forks gets an answer from everything, and ends."""
    context = multiprocessing.get_context("fork")
    with make(tmp_path) as losses:
        log(losses, 1, "parent")
        answer = context.SimpleQueue()
        process = context.Process(target=_in_child, args=(losses, answer))
        process.start()
        assert answer.get() == (None, [])
        process.join(30)
        assert process.exitcode == 0
        log(losses, 2, "parent")
    assert paths(tmp_path) == ["parent", "parent"]


def test_a_fork_while_others_log(tmp_path: Path) -> None:
    """Whatever locks the parent's threads hold at the moment of the fork, the child gets its answers."""
    losses, done = make(tmp_path, timeouts={"flush": 0.01}), threading.Event()
    logging.getLogger("loss_logging").setLevel(logging.CRITICAL)

    def work(thread: int) -> None:
        step = 0
        while not done.wait(0.001):  # so fast that the forks meet it at every point, and the recorder keeps up
            step += 1
            log(losses, step % 7, f"{thread}")  # which warns each time that it goes back

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert fork(lambda: (log(losses, 1, "child"), losses.save_step(1).result(10), losses.close()) != ()) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
        logging.getLogger("loss_logging").setLevel(logging.NOTSET)
    assert losses.close() == []
    assert "child" not in paths(tmp_path)


@pytest.mark.parametrize("reporter", ["process", pytest.param("inline", marks=pytest.mark.long)])
def test_a_child_that_ends_like_a_program(tmp_path: Path, reporter: str) -> None:
    """One that leaves through the interpreter's own end, which clears up, does not hang; the parent's lock stays."""
    script = f"""
from loss_logging.runs.lock import is_locked
from pathlib import Path
losses = LossLogger(**options(root, reporter={reporter!r}))
log(losses, 1)
losses.save_step(1).result(60)
if os.fork() == 0:
    signal.alarm(30)
    sys.exit(5)
print(os.waitstatus_to_exitcode(os.wait()[1]), is_locked(losses.config.records_dir, 0))
log(losses, 2)
losses.save_step(2).result(60)
print(losses.close())
"""
    out, err = finish(run_script(tmp_path, script))
    assert out == "5 True\n[]\n"
    assert "Error" not in err  # DuckDB's binding lists what it leaves behind in a child


def test_workers_of_a_data_loader_say_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """They are forked in the middle of the training, and have nothing to do with it."""
    with make(tmp_path) as losses:
        for epoch in range(2):
            loader = DataLoader(
                torch.arange(8),  # type: ignore[arg-type]
                batch_size=4,
                num_workers=2,
                multiprocessing_context="fork",
            )
            for batch in loader:
                losses.log_batch(epoch, torch.rand(4), paths=batch, datasets="d", captions=[""] * 4)
        assert is_locked(records(tmp_path), 0)
    assert warnings(caplog) == []
    assert capfd.readouterr() == ("", "")
    assert sorted(paths(tmp_path)) == sorted([str(i) for i in range(8)] * 2)


def test_a_logger_of_its_own(tmp_path: Path) -> None:
    """A forked child can make one, under another name; not of its parent's run."""

    def child() -> bool:
        with make(tmp_path / "other") as own:
            log(own, 1, "child")
        try:
            log(make(tmp_path), 1, "child")
        except LossLoggingError as error:
            return "close it first" in str(error)
        return False

    with make(tmp_path) as losses:
        log(losses, 1, "parent")
        assert fork(child) == 0
    assert (paths(tmp_path / "other"), paths(tmp_path)) == (["child"], ["parent"])


# --- a cell that is run again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["inline", pytest.param("process", marks=pytest.mark.long)])
def test_a_cell_that_is_run_again_takes_over(tmp_path: Path, reporter: str, caplog: pytest.LogCaptureFixture) -> None:
    """The constructor has rebound the name: the logger that nobody can reach is closed with a warning."""

    def cell(interrupted: bool) -> LossLogger:
        losses = make(tmp_path, reporter=reporter)
        log(losses, 1)
        if interrupted:
            raise KeyboardInterrupt
        path = losses.save_step(1).result(60)
        assert path is not None
        assert read_report(path).global_.count == 1
        return losses

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            cell(interrupted=True)
    losses = cell(interrupted=False)
    assert len([text for text in warnings(caplog) if "a new LossLogger of this process writes" in text]) == 2
    assert losses.close() == []
    archived = sorted((tmp_path / "loss_logging" / "archive").rglob("*.parquet"))
    assert len(archived) == 2
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("loss_logging")] == []


def test_what_was_logged_goes_on_where_it_resumes(tmp_path: Path) -> None:
    """A cell that resumes: what the first logger had not written yet is written first."""
    first = make(tmp_path, timeouts={"flush": 3600})
    for step in (1, 2, 3):
        log(first, step, f"{step}")
    second = make(tmp_path)
    second.resume(2)
    log(second, 3, "again")
    assert second.close() == []
    assert paths(tmp_path) == ["1", "2", "again"]
    with pytest.raises(LossLoggingError, match="is closed; another one of this process writes its run"):
        log(first, 4)
    assert first.close() == []


def test_a_close_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of close() leaves the run free for the next cell."""
    first = make(tmp_path)
    log(first, 1)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("loss_logging.training.open_run.LossRecorder.close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        first.close()
    monkeypatch.undo()
    with make(tmp_path) as second:
        log(second, 1, "b")
    assert "b" in paths(tmp_path)


def test_a_first_batch_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the run is opened: the next batch opens the rest, once."""
    losses = make(tmp_path)
    reporters: list[object] = []

    start = "loss_logging.training.open_run.LossRecorder.__init__"
    monkeypatch.setattr(start, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        log(losses, 1)
    assert losses._run is not None
    reporters.append(losses._run.reporter)
    monkeypatch.undo()
    log(losses, 1)
    assert losses._run.reporter is reporters[0]
    path = losses.save_step(1).result(10)
    assert losses.close() == []
    assert path is not None
    assert read_report(path).global_.count == 1


def test_the_same_folder_by_another_path(tmp_path: Path) -> None:
    """Through a link it is the same run."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    first, second = make(tmp_path / "real"), make(tmp_path / "link")
    log(first, 1)
    log(second, 1, "b")
    second.close()
    assert paths(tmp_path / "real") == ["b"]


def test_one_that_logged_nothing_takes_nothing_over(tmp_path: Path) -> None:
    """A report that a second logger is asked for, which has nothing to report, does not end the first one."""
    with make(tmp_path) as first, make(tmp_path) as second:
        log(first, 1)
        assert second.save_step(1).result(10) is None
        log(first, 2)
        path = first.save_step(2).result(10)
    assert path is not None
    assert read_report(path).global_.count == 2


def test_an_evaluation_does_not_end_a_training(tmp_path: Path) -> None:
    """Under the name of a training that runs in this process it is refused, and the training goes on."""
    with make(tmp_path) as training:
        log(training, 1)
        training.save_step(1).result(10)
        with pytest.raises(LossLoggingError, match="holds a training run"):
            LossLogger.for_evaluation(training.config)
        log(training, 2)
    assert len(paths(tmp_path)) == 2


# --- copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy, lambda losses: copy.deepcopy({"a": [losses]})])
@pytest.mark.parametrize("begun", [False, True])
def test_a_logger_is_not_copied(tmp_path: Path, way: Callable[[LossLogger], object], begun: bool) -> None:
    """It says so, and what to do instead."""
    with make(tmp_path) as losses:
        if begun:
            log(losses, 1)
        with pytest.raises(TypeError, match=r"cannot be pickled or copied.*make LossLogger\(config\) in the process"):
            way(losses)
        again = pickle.loads(pickle.dumps(losses.config))
        assert again == losses.config


# --- ranks ----------------------------------------------------------------------------------------------------------

ALONE = """
import loss_logging.training.ranks.rank_log
loss_logging.training.ranks.rank_log._JOIN_SECONDS = 0.5
losses = LossLogger(**options(root))
log(losses, 1)
for step in (1, 2):
    print(losses.save_step(step).result(30))
print(losses.close())
"""


def test_a_rank_without_rank_0(tmp_path: Path) -> None:
    """RANK=1 alone: every save step answers, and the last sentence names what is missing, and no disk."""
    script = tmp_path / "script.py"
    process = run_script(tmp_path, "os.environ.update(RANK='1', WORLD_SIZE='2')\n" + ALONE)
    out, err = finish(process)
    assert script.exists()
    first, second, closed = out.splitlines()
    assert (first, second) == ("None", "None")
    assert "4 records are not included: rank 0 has not opened the run within 0.5 s; is it logging too?" in closed
    assert "disk" not in out + err


NOTED = """
import json
from multiprocessing import Barrier, get_context
def rank(i, together):
    os.environ.update(RANK=str(i), WORLD_SIZE="2")
    losses = LossLogger(**options(root, timeouts={"flush": 0.1}))
    log(losses, 1)
    losses.count_unlogged(3 * i, "they have no names")
    losses.add_warning(f"said by {i}")
    losses.save_step(1).result(60)
    together.wait(60)
    log(losses, 2)
    path = losses.save_step(2).result(60)
    if i == 0:
        print(json.dumps(json.loads(path.read_text())["warnings"][:3]))
    together.wait(60)
    losses.close()
context = get_context("fork")
together = context.Barrier(2)
ranks = [context.Process(target=rank, args=(i, together)) for i in range(2)]
for process in ranks: process.start()
for process in ranks: process.join(); assert process.exitcode == 0
"""


def test_what_another_rank_could_not_log_is_in_the_report(tmp_path: Path) -> None:
    """The report of rank 0 says what was noted on rank 1."""
    out, _ = finish(run_script(tmp_path, NOTED))
    assert out.strip() == (
        '["said by 0", "rank 1: said by 1", "rank 1: 3 examples are not logged: they have no names"]'
    )
