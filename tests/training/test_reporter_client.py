from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from reporting import log, logger, reporters
from waiting import HOURS, wait_until

from loss_logging import read_report
from loss_logging.records.log import RecordLog
from loss_logging.trackers.memory import MemoryBackend
from loss_logging.training.reporter_client import _SMALL, ReporterError

pytestmark = [pytest.mark.usefixtures("nothing_stays"), pytest.mark.skipif(os.name == "nt", reason="signals")]


def test_an_answer_after_cancel_is_no_harm(tmp_path: Path) -> None:
    """A caller that cancels the Future, as a timeout in asyncio does, neither ends a thread nor the next report."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        losses.save_step(1).cancel()
        log(losses, 2)
        path = losses.save_step(2).result(30)
        assert path is not None
    assert read_report(path).global_.count == 4
    assert losses.config.report_path(1).exists()


def test_a_killed_reporter_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Killed while it owes a report, it comes back and the report has everything; training is told once."""
    memory = MemoryBackend()
    with logger(tmp_path, loggers=[memory]) as losses:
        log(losses, 1)
        assert losses.save_step(1).result(30) is not None
        (process,) = reporters()
        process.suspend()
        log(losses, 2)
        future = losses.save_step(2)
        wait_until(future.running)  # from there on the reporter owes it
        process.kill()
        path = future.result(30)
        assert path is not None
        assert read_report(path).global_.count == 4
        log(losses, 3)
    assert [report.job.step for report in memory.reports] == [1, 2]
    told = [record_.levelname for record_ in caplog.records if "it is started again" in record_.getMessage()]
    assert told == ["WARNING"], caplog.text


def test_killed_with_nothing_owed(tmp_path: Path) -> None:
    """The next save step starts it again."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        losses.save_step(1).result(30)
        for step in (2, 3):
            (process,) = reporters()
            process.kill()
            wait_until(lambda: not reporters())
            log(losses, step)
            path = losses.save_step(step).result(30)
            assert path is not None
            assert read_report(path).global_.count == step * 2


def test_three_deaths_fail_the_save_step_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The Future raises a ReporterError that says what to expect; when reporters live again, so do the reports."""
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        with logger(tmp_path) as losses:
            log(losses, 1)
            with pytest.raises(
                ReporterError, match=r"no report for step 1: the reporter process died 3 times\. The rec"
            ):
                losses.save_step(1).result(30)
            log(losses, 2)
            patched.undo()
            path = losses.save_step(2).result(30)
            assert path is not None
            assert read_report(path).global_.count == 4
    assert "died 3 times" in caplog.text


def test_three_deaths_fail_the_oldest_save_step_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The save steps that wait behind it are answered by the next reporter."""
    program = tmp_path / "python"
    program.write_text(
        f"#!/bin/sh\ncd {tmp_path}\necho >> starts\n"
        f'[ $(wc -l < starts) -gt 3 ] && exec {sys.executable} "$@"\nsleep 0.5\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with logger(tmp_path / "run") as losses:
        futures = []
        for step in (1, 2, 3):
            log(losses, step)
            futures.append(losses.save_step(step))
        with pytest.raises(ReporterError, match="no report for step 1: the reporter process died 3 times"):
            futures[0].result(30)
        for step, future in enumerate(futures[1:], 2):
            path = future.result(30)
            assert path is not None
            assert read_report(path).global_.count == 2 * step


@pytest.mark.parametrize("executable", ["/bin/false", "/no/such/python"])
def test_no_reporter_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    """Where none can be started the records are kept, close() says so and does not wait for the whole timeout."""
    monkeypatch.setattr(sys, "executable", executable)
    losses = logger(tmp_path, timeouts={"close": HOURS})
    for step in range(50):
        log(losses, step)
    with pytest.raises(ReporterError, match="no report for step 49"):
        losses.save_step(49).result(30)
    died, command = losses.close()
    assert "died while it was closing" in died
    assert "loss-logging report" in command
    assert RecordLog(losses.config.records_dir).read().num_rows == 100


def test_killed_while_closing(tmp_path: Path) -> None:
    """A reporter that dies before it could say what it delivered is told about, and not waited for."""
    note = tmp_path / "note"
    options = {"name": "test_reporter:HungAtClose", "note": str(note)}
    losses = logger(tmp_path, loggers=[options], timeouts={"close": HOURS})
    log(losses, 1)
    losses.save_step(1).result(30)
    killer = threading.Thread(target=lambda: os.kill(int(wait_until(lambda: note.exists() and note.read_text())), 9))
    killer.start()
    (sentence,) = losses.close()
    assert "died while it was closing" in sentence
    killer.join()


def test_a_hung_backend_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """close() keeps its time limit, ends the process, and names what it waited for."""
    options = {"name": "test_reporter:HungAtClose", "note": str(tmp_path / "note")}
    losses = logger(tmp_path, loggers=[options], timeouts={"close": 1.5})
    log(losses, 1)
    losses.save_step(1).result(30)
    undelivered = losses.close()  # the backend never comes back
    assert len(undelivered) == 1
    wait_until(lambda: not reporters())


def test_a_stopped_reporter_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Suspended, it is ended when the time is up, and the save step that it owes fails in words."""
    losses = logger(tmp_path, timeouts={"close": 1.0})
    log(losses, 1)
    losses.save_step(1).result(30)
    (process,) = reporters()
    process.suspend()
    log(losses, 2)
    future = losses.save_step(2)
    ended, command = losses.close()
    assert "did not finish within" in ended
    with pytest.raises(ReporterError, match="did not finish within"):
        future.result(10)
    # And closing names what makes it.
    assert command.startswith("there is no report of step 2; this makes it from the log: loss-logging report ")
    words = shlex.split(command.partition("the log: ")[2])
    done = subprocess.run(
        [sys.executable, "-c", "from loss_logging.cli import main; main()", *words[1:]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert read_report(done.stdout.strip()).job.step == 2
    assert Path(done.stdout.strip()) == losses.config.report_path(2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DuckDB has an allocator of its own on Linux alone")
def test_the_allocator_of_duckdb_gives_back_what_it_does_not_need() -> None:
    """This DuckDB understands what the reporter process tells its allocator."""
    told = {name: f"{value},stats_print:true" if name.startswith("DUCKDB") else value for name, value in _SMALL.items()}
    command = [sys.executable, "-c", "import duckdb; duckdb.sql('SELECT 1').fetchall()"]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=True)
    if "jemalloc statistics" not in done.stderr:
        pytest.skip("a DuckDB without that allocator")
    assert "opt.background_thread: true" in done.stderr
    assert "Invalid conf" not in done.stderr
