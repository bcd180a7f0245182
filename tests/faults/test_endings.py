"""Training ends in other ways than its last line, or goes on in other processes: what was logged is there, once."""

from __future__ import annotations

from pathlib import Path

import psutil
from processes import (
    assert_whole,
    finish,
    log_of,
    reported,
    run_script,
)

# --- the trainer ends -----------------------------------------------------------------------------------------------


def test_sigterm_is_the_trainers_own(tmp_path: Path) -> None:
    """A trainer's handler stays the one that is called, before and after the logger; what it then does counts."""
    script = """
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(len(seen)))
with LossLogger(**options(root, timeouts={"flush": 60})) as losses:
    log(losses, 1)
    signal.raise_signal(signal.SIGTERM)
    log(losses, 2)
    print(seen)
signal.raise_signal(signal.SIGTERM)
print(seen)
"""
    out, err = finish(run_script(tmp_path, script))
    assert (out, err) == ("[0]\n[0, 1]\n", "")
    assert_whole(tmp_path, [1, 2])


def test_a_handler_that_is_set_later(tmp_path: Path) -> None:
    """One that the trainer sets while it logs is not taken away again."""
    script = """
losses = LossLogger(**options(root))
log(losses, 1)
signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
losses.close()
signal.raise_signal(signal.SIGTERM)
"""
    assert finish(run_script(tmp_path, script)) == ("mine\n", "")


def test_an_exit_that_skips_everything(tmp_path: Path) -> None:
    """Records get to the disk without being asked for; os._exit loses none of these, and no half file stays."""
    script = """
from waiting import wait_until
from loss_logging.records.log import RecordLog
losses = LossLogger(**options(root, timeouts={"flush": 0.3}))
for step in range(1, 11):
    log(losses, step)
wait_until(lambda: RecordLog(losses.config.records_dir).read().num_rows == 10 * BATCH)
log(losses, 11)
os._exit(7)
"""
    finish(run_script(tmp_path, script), 7)
    assert_whole(tmp_path, range(1, 11))


# --- forks ----------------------------------------------------------------------------------------------------------


FORKED = "this process was forked from the one that made the LossLogger of 'job': it logs nothing."


def test_a_fork_never_writes(tmp_path: Path) -> None:
    """A child that logs, saves and ends, by any way, leaves the log, the reports, the lock and the parent alone."""
    script = """
import warnings
warnings.filterwarnings("ignore", message=".*fork.*")
with LossLogger(**options(root)) as losses:
    log(losses, 1)
    for end in (lambda: os._exit(0), lambda: sys.exit(0), lambda: (losses.close(), sys.exit(0))):
        child = os.fork()
        if child == 0:
            log(losses, 1_000)
            losses.save_step(1_000)
            end()
        assert os.waitpid(child, 0)[1] == 0
    log(losses, 2)
    losses.save_step(2).result()
"""
    out, err = finish(run_script(tmp_path, script))
    assert out == ""
    assert [line[: len(FORKED)] for line in err.splitlines()] == [FORKED] * 3
    assert_whole(tmp_path, [1, 2])
    assert log_of(tmp_path).read().num_rows == 8
    assert reported(tmp_path) == [2]


def test_multiprocessing_by_fork(tmp_path: Path) -> None:
    """Workers of multiprocessing, which run exit handlers of their own, end at once and leave no trace."""
    script = """
import multiprocessing, warnings
warnings.filterwarnings("ignore", message=".*fork.*")
def work(step):
    log(losses, step)
    losses.save_step(step)
with LossLogger(**options(root)) as losses:
    log(losses, 1)
    workers = [multiprocessing.get_context("fork").Process(target=work, args=(step,)) for step in (10, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
        print(worker.exitcode)
    log(losses, 2)
    losses.save_step(2)
"""
    out, err = finish(run_script(tmp_path, script))
    assert out == "0\n0\n"
    assert [line[: len(FORKED)] for line in err.splitlines()] == [FORKED] * 2
    assert log_of(tmp_path).read().num_rows == 8
    assert reported(tmp_path) == [2]


def test_a_worker_that_outlives_a_killed_trainer(tmp_path: Path) -> None:
    """It does not keep the run's lock: a new trainer can go on at once."""
    script = """
import warnings
warnings.filterwarnings("ignore", message=".*fork.*")
losses = LossLogger(**options(root))
log(losses, 1)
losses.save_step(1).result()
child = os.fork()
if child == 0:
    signal.pause()
    os._exit(0)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = run_script(tmp_path, script)
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    process.wait(60)
    try:
        finish(
            run_script(
                tmp_path, "with LossLogger(**options(root)) as losses:\n    losses.resume(1)\n    log(losses, 2)"
            )
        )
        assert worker.is_running()
    finally:
        worker.kill()
        process.communicate(timeout=60)
    assert_whole(tmp_path, [1, 2])


# --- a reporter that is stopped -------------------------------------------------------------------------------------


def test_a_stopped_reporter_is_replaced(tmp_path: Path) -> None:
    """Training is not held up; the reporter is ended, started again, and each report comes, once."""
    script = """
from loss_logging.training import reporter_client
from loss_logging.trackers.memory import MemoryBackend
import psutil
memory = MemoryBackend()
reporter_client.ALIVE_SECONDS = 0.1
with LossLogger(**options(root, loggers=[memory])) as losses:
    log(losses, 1)
    losses.save_step(1).result()
    (child,) = psutil.Process().children()
    child.suspend()
    for step in range(2, 200):
        log(losses, step)
        if step % 50 == 0:
            losses.save_step(step)
    assert psutil.Process().children() == [child]  # nothing has waited until it was replaced
    reporter_client._SILENT_SECONDS = 0.5
    last = losses.save_step(200)
    wait_until(lambda: psutil.Process().children() not in ([child], []))
    reporter_client._SILENT_SECONDS = 60  # the new one may take its time
    last.result(60)
print([report.job.step for report in memory.reports])
"""
    out, err = finish(run_script(tmp_path, script))
    assert out == "[1, 50, 100, 150, 200]\n"
    assert "the reporter process does not answer" in err
    assert reported(tmp_path) == [1, 50, 100, 150, 200]
    assert_whole(tmp_path, range(1, 200))
