"""loss_logging/training/logger.py: what a trainer sees, and what a run leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import record
from inline_logger import log, logger, saved

from loss_logging import LossLogger, TrainConfig
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.trackers.memory import MemoryBackend
from loss_logging.training.reporter_client import ReporterError


def stored(folder: Path, name: str = "run") -> list[int]:
    got: list[int] = RecordLog(folder / "loss_logging" / "records" / name).read()["step"].to_pylist()
    return got


OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Threads of loggers that other tests have left to their exit handlers are not counted."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def threads() -> list[str]:
    new = (thread for thread in threading.enumerate() if thread not in OTHERS)
    return [thread.name for thread in new if thread.name.startswith("loss_logging")]


# --- off ------------------------------------------------------------------------------------------------------------


def test_off_is_off(tmp_path: Path) -> None:
    """Both switches off: no thread, no file, no folder; every call returns; even an unknown logger does not matter."""
    root = tmp_path / "runs"
    with logger(
        root, log_per_example=False, log_per_dataset=False, reporter="process", loggers=["tensorbord"]
    ) as losses:
        losses.resume(3)
        log(losses, 1)
        losses.log_records(1, [record()])
        assert losses.save_step(1).result(0) is None
        assert threads() == []
    assert losses.close() == []
    assert not root.exists()


def test_off_imports_nothing(tmp_path: Path) -> None:
    """In a fresh interpreter neither a tracker, torch nor DuckDB is imported, and no process is started."""
    script = """
import sys, threading
from loss_logging import LossLogger
losses = LossLogger(job_name="x", save_root=sys.argv[1], loggers=["tensorboard", "wandb"], log_per_example=False,
                    log_per_dataset=False)
losses.log_batch(1, [0.5], paths=["a"], datasets="d", captions=["c"])
losses.save_step(1)
losses.close()
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "wandb", "tensorboard", "tensorboardX", "duckdb"}))
print(threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "x")], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n1\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_on_but_unused(tmp_path: Path) -> None:
    """Made and closed without a batch: no thread, no record, no report, and no complaint."""
    with logger(tmp_path, reporter="process") as losses:
        assert threads() == []
    assert losses.close() == []
    assert stored(tmp_path) == []
    assert losses.config.report_paths() == []


# --- ends -----------------------------------------------------------------------------------------------------------


def test_an_exception_inside_the_block(tmp_path: Path) -> None:
    """It comes out as it is, after everything was written."""
    with pytest.raises(ZeroDivisionError), logger(tmp_path, timeouts={"flush": 3600}) as losses:
        log(losses, 1)
        raise ZeroDivisionError
    assert stored(tmp_path) == [1, 1]
    assert threads() == []


@pytest.mark.parametrize("reporter", ["inline", "process"])
def test_after_close(tmp_path: Path, reporter: str) -> None:
    """Closing twice is fine; logging and saving afterwards raise instead of losing what is given."""
    losses = logger(tmp_path, reporter=reporter)
    log(losses, 1)
    assert losses.close() == []
    assert losses.close() == []
    for call in (
        lambda: log(losses, 2),
        lambda: losses.log_records(2, [record()]),
        lambda: losses.save_step(1),
    ):
        with pytest.raises(LossLoggingError, match="this LossLogger is closed; make a new one"):
            call()
    assert stored(tmp_path) == [1, 1]
    assert threads() == []


def test_closed_before_the_first_batch(tmp_path: Path) -> None:
    """A closed logger takes nothing, also when it never had anything."""
    losses = logger(tmp_path)
    losses.close()
    with pytest.raises(LossLoggingError, match="closed"):
        log(losses, 1)


# --- steps ----------------------------------------------------------------------------------------------------------


def test_a_save_step_covers_its_step_and_no_later_one(tmp_path: Path) -> None:
    """Reports are about the records up to their step, in whatever order they are asked for."""
    with logger(tmp_path) as losses:
        for step in range(10):
            log(losses, step, loss=float(step))
        assert [saved(losses, step)["global"]["count"] for step in (4, 9, 0, 20)] == [10, 20, 2, 20]


def test_saving_a_step_twice(tmp_path: Path) -> None:
    """Nothing new: the same Future, one report in the trackers. Something new: another report, with it."""
    memory = MemoryBackend()
    with logger(tmp_path, loggers=[memory]) as losses:
        log(losses, 5)
        first = losses.save_step(5)
        assert losses.save_step(5) is first
        log(losses, 5)
        second = losses.save_step(5)
        assert second is not first
        assert saved(losses, 5)["global"]["count"] == 4
    assert [report.global_.count for report in memory.reports] == [2, 4]


@pytest.mark.parametrize("items", ["json", "parquet"])
def test_saving_before_any_record(tmp_path: Path, items: str) -> None:
    """An empty report, which is valid, and the run goes on."""
    memory = MemoryBackend()
    with logger(tmp_path, loggers=[memory], items=items) as losses:
        data = saved(losses, 0)
        assert data["global"]["count"] == 0
        assert data["global"]["mean"] is None
        log(losses, 1)
        assert saved(losses, 1)["global"]["count"] == 2
    assert [report.job.step for report in memory.reports] == [0, 1]


def test_steps_that_repeat_and_go_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Gradient accumulation repeats steps, and is fine; going back is kept, counted and warned about."""
    with logger(tmp_path) as losses:
        for step in (1, 1, 2, 2):
            log(losses, step)
        assert caplog.records == []
        log(losses, 1)
        assert "step 1 was logged after step 2" in caplog.text
        assert saved(losses, 1)["global"]["count"] == 6
        assert saved(losses, 2)["global"]["count"] == 10


@pytest.mark.parametrize("step", [3, np.int64(3), torch.tensor(3)])
def test_steps_of_any_whole_type(tmp_path: Path, step: Any) -> None:
    """Whatever log_batch takes for a step, save_step and log_records take too."""
    with logger(tmp_path) as losses:
        log(losses, step)
        losses.log_records(step, [record()])
        assert saved(losses, step)["job"]["step"] == 3


@pytest.mark.parametrize(("step", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (None, TypeError)])
def test_impossible_steps(tmp_path: Path, step: Any, error: type[Exception]) -> None:
    """Every call refuses them, and says so."""
    with logger(tmp_path) as losses:
        for call in (
            lambda: log(losses, step),
            lambda: losses.log_records(step, [record()]),
            lambda: losses.save_step(step),
            lambda: losses.resume(step),
        ):
            with pytest.raises(error, match=rf"step is {re.escape(repr(step))}; expected .*0 or more, up to 2"):
                call()
    assert stored(tmp_path) == []


def test_log_records(tmp_path: Path) -> None:
    """Mappings and records, at the given step; a broken one raises and none of its batch is logged."""
    with logger(tmp_path) as losses:
        losses.log_records(4, [record(step=99), record(path="b", dataset="")])
        losses.log_records(4, (record(path=f"{i}") for i in range(3)))
        losses.log_records(4, [])
        with pytest.raises(ValueError, match=r"records\[1\].loss is None"):
            losses.log_records(4, [record(), record(loss=None)])
        data = saved(losses, 4)
    assert {name: dataset["summary"]["count"] for name, dataset in data["datasets"].items()} == {"d": 4, "unknown": 1}


# --- scalars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["inline", "process"])
def test_means_between_the_reports(tmp_path: Path, reporter: str) -> None:
    """Every record enters one mean per dataset and window, step 0 as well, with the report or between; none twice."""
    memory = MemoryBackend()
    with logger(tmp_path, loggers=[memory], log_every=5, timeouts={"flush": 0.05}, reporter=reporter) as losses:
        for step in range(24):
            log(losses, step, loss=float(step), n=1)
            if step in (10, 17):
                losses.save_step(step).result(30)
    means = dict(memory.scalars) | {report.job.step: report.scalars for report in memory.reports}
    assert len(means) == len(memory.scalars) + len(memory.reports)
    got = {step: row["loss_logging/loss/d"] for step, row in means.items()}
    assert got == {0: 0.0, 5: 3.0, 10: 8.0, 15: 13.0, 17: 16.5, 20: 19.0, 23: 22.0}


# --- resume ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["inline", "process"])
def test_resume(tmp_path: Path, reporter: str) -> None:
    """Records, reports and scalars after the step are gone; the report is that of a run that was never interrupted."""
    with logger(tmp_path / "whole", save_every=4) as whole:
        for step in range(1, 9):
            log(whole, step, loss=float(step), first=step)
        expected = saved(whole, 8)

    options: dict[str, Any] = {"save_every": 4, "log_every": 2, "reporter": reporter}
    with logger(tmp_path / "run", **options) as first:
        for step in range(1, 8):
            log(first, step, loss=float(step) if step <= 4 else -99.0, first=step)
            if step in (4, 6):
                first.save_step(step).result(30)
        other = first.config.out_dir / "run_2_000000009.json"
        other.write_text("{}")

    memory = MemoryBackend()
    with logger(tmp_path / "run", loggers=[memory], **options) as second:
        second.resume(4)
        assert [path.name for path in second.config.report_paths()] == ["run_000000004.json"]
        for step in range(5, 9):
            log(second, step, loss=float(step), first=step)
        got = saved(second, 8)
    assert got["job"]["resumed_from"] == 4
    assert {key: got[key] for key in ("global", "datasets", "worst", "flagged")} == {
        key: expected[key] for key in ("global", "datasets", "worst", "flagged")
    }
    assert memory.scalars == [(6, {"loss_logging/loss/d": 5.5})]
    assert memory.reports[0].scalars["loss_logging/loss/d"] == 7.5
    assert stored(tmp_path / "run") == [step for step in range(1, 9) for _ in range(2)]
    assert other.exists()


def test_resume_after_a_batch(tmp_path: Path) -> None:
    """Too late, and said so; the run goes on."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        with pytest.raises(LossLoggingError, match="call it before the first log_batch"):
            losses.resume(0)
        assert saved(losses, 1)["global"]["count"] == 2


# --- used folders ---------------------------------------------------------------------------------------------------


def test_two_jobs_share_a_folder(tmp_path: Path) -> None:
    """Jobs whose names begin alike, or look like a step, see nothing of each other."""
    names = ["run", "run_2", "run_000000003", "run.x"]
    loggers = [logger(tmp_path, job_name=name) for name in names]
    for i, losses in enumerate(loggers):
        for step in range(1, 4):
            log(losses, step, loss=float(i))
    for i, losses in enumerate(loggers):
        assert saved(losses, 3)["global"]["mean"] == float(i)
    for losses in loggers:
        losses.close()
    with logger(tmp_path) as losses:
        losses.resume(0)
    assert len(list((tmp_path / "loss_logging").glob("*.json"))) == 3
    assert [stored(tmp_path, name) for name in names] == [[]] + [[1, 1, 2, 2, 3, 3]] * 3


def test_the_folder_holds_nothing_that_a_trainer_takes_for_its_own(tmp_path: Path) -> None:
    """Everything is in one sub-folder of save_root."""
    with logger(tmp_path, items="parquet") as losses:
        log(losses, 1)
        losses.save_step(1)
    assert [path.name for path in tmp_path.iterdir()] == ["loss_logging"]


def test_a_relative_folder_and_a_trainer_that_changes_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """save_root is meant from where the logger was made."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with logger(Path("runs")) as losses:
        log(losses, 1)
        monkeypatch.chdir(tmp_path / "b")
        log(losses, 2)
        assert losses.save_step(2).exception(30) is None
    assert stored(tmp_path / "a" / "runs") == [1, 1, 2, 2]
    assert list((tmp_path / "b").iterdir()) == []


# --- options --------------------------------------------------------------------------------------------------------


def test_without_examples(tmp_path: Path) -> None:
    """log_per_example=False: figures per dataset, and nothing that names an item, in the JSON, the log or a table."""
    memory = MemoryBackend()
    with logger(tmp_path, log_per_example=False, loggers=[memory]) as losses:
        losses.log_batch(1, [0.5, 1.5], paths=["secret.png"] * 2, datasets="d", captions=["nan", "a secret"])
        data = saved(losses, 1)
    summary = data["datasets"]["d"]["summary"]
    assert (summary["count"], summary["mean"], summary["top_k"]) == (2, 1.0, [])
    assert summary["histogram"] is not None
    assert data["datasets"]["d"]["item_stats"] == {}
    assert (data["flagged"], data["flagged_summary"], data["worst"]) == ([], {}, {"hard": [], "caption_mismatch": []})
    assert memory.reports[0].tables == {}
    for path in (tmp_path / "loss_logging").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
    assert set(RecordLog(losses.config.records_dir).read()["path"].to_pylist()) == {""}


def test_without_datasets(tmp_path: Path) -> None:
    """log_per_dataset=False: items and rankings, and no curve, histogram or mean per dataset in the trackers."""
    memory = MemoryBackend()
    with logger(tmp_path, log_per_dataset=False, log_every=1, loggers=[memory]) as losses:
        for step in range(1, 4):
            losses.log_batch(step, [0.5], paths=["a"], datasets="d", captions=["c"], timesteps=[0.5])
        data = saved(losses, 3)
    assert data["datasets"]["d"]["item_stats"]["a"]["count"] == 3
    (report,) = memory.reports
    assert (memory.scalars, report.recent, report.histograms, report.curves) == ([], {}, {}, {})


def test_sampling(tmp_path: Path) -> None:
    """A fraction of the records and at most so many of a step, the same ones in a run that is repeated."""
    kept = []
    for _ in range(2):
        with logger(tmp_path, sample_fraction=0.5, max_records_per_step=3) as losses:
            losses.resume(0)
            for step in range(100):
                log(losses, step, n=8)
            count = saved(losses, 99)["global"]["count"]
        table = RecordLog(losses.config.records_dir).read()
        kept.append(list(zip(table["step"].to_pylist(), table["path"].to_pylist(), strict=True)))
        assert count == len(kept[-1])
    assert kept[0] == kept[1]
    assert 220 <= len(kept[0]) <= 300
    assert max(sum(step == n for step, _ in kept[0]) for n in range(100)) == 3


def test_every_form_of_configuration(tmp_path: Path) -> None:
    """A TrainConfig, a mapping and keywords are the same; two at once are refused."""
    options = {"job_name": "run", "save_root": tmp_path, "loggers": [], "reporter": "inline"}
    assert LossLogger(TrainConfig(**options)).config == LossLogger(options).config == LossLogger(**options).config
    with pytest.raises(ConfigError, match="give a config or keyword arguments, not both"):
        LossLogger(options, job_name="x")


# --- trouble --------------------------------------------------------------------------------------------------------


def test_a_disk_that_refuses_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training goes on, the report says what is missing, and later ones have it all."""
    write_ = RecordLog.write
    full = True

    def refuse(self: RecordLog, batches: Any) -> Path:
        if full:
            raise OSError(28, "No space left on device")
        return write_(self, batches)

    monkeypatch.setattr(RecordLog, "write", refuse)
    with logger(tmp_path) as losses:
        log(losses, 1)
        data = saved(losses, 1)
        assert data["global"]["count"] == 0
        assert data["warnings"] == ["2 records are not included: the disk does not take them"]
        full = False
        log(losses, 2)
        data = saved(losses, 2)
        assert data["global"]["count"] == 4
        assert data["warnings"] == []


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    """Its Future raises a ReporterError in words; training goes on; once there is room, the report comes."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        obstacle = losses.config.report_path(1)
        obstacle.mkdir()
        with pytest.raises(ReporterError, match="no report for step 1"):
            losses.save_step(1).result()
        obstacle.rmdir()
        log(losses, 2)
        assert saved(losses, 2)["global"]["count"] == 4


def test_a_forked_child_does_not_close_its_parents_logger(tmp_path: Path) -> None:
    """close() in a child of a fork touches nothing."""
    with logger(tmp_path) as losses:
        log(losses, 1)
        child = os.fork()
        if child == 0:
            os._exit(losses.close() != [])
        assert os.waitpid(child, 0)[1] == 0
        assert saved(losses, 1)["global"]["count"] == 2


def test_losses_that_are_no_numbers_are_warned_about(tmp_path: Path) -> None:
    """A report says of which datasets, as their curves in trackers just end; of finite losses it says nothing."""
    with logger(tmp_path) as losses:
        log(losses, 1, dataset="fine")
        assert saved(losses, 1)["warnings"] == []
        for name, count in (("a", 1), ("b", 2), ("c", 3), ("e", 4)):
            log(losses, 2, loss=float("nan"), n=count, dataset=name)
        log(losses, 2, dataset="e")
        (warning,) = saved(losses, 2)["warnings"]
    assert warning == (
        "losses are NaN or infinite, and in no figure but their number: 4 of 6 of e, 3 of 3 of c, 2 of 2 of b, "
        "and of 1 more"
    )


@pytest.mark.parametrize(
    ("figures", "named"), [([1e308, 1e308], "d"), ([1e200, 1.0], "d"), ([1.0, 2.0], ""), ([1e100], ""), ([np.nan], "")]
)
def test_losses_that_no_sum_holds_are_named(tmp_path: Path, figures: list[float], named: str) -> None:
    """Their mean or spread is null, and the report says why; not so of a single loss, or of none that is finite."""
    names: dict[str, Any] = {"paths": ["a", "b"][: len(figures)], "captions": ["x"] * len(figures)}
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(1, figures, datasets="d", **names)
        warnings = saved(losses, 1)["warnings"]
    said = [sentence.rpartition(": ")[2] for sentence in warnings if "sum of them is infinite" in sentence]
    assert said == ([named] if named else [])
