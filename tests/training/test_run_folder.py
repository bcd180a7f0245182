from __future__ import annotations

from pathlib import Path

import pytest
from helpers import record, write
from inline_logger import log, logger, saved

from loss_logging import LossLogger, read_report
from loss_logging.records.log import RecordLog


def test_resuming_from_zero_starts_over(tmp_path: Path) -> None:
    """Nothing of the earlier run is left, and nothing is archived."""
    for _ in range(2):
        with logger(tmp_path, items="parquet") as losses:
            losses.resume(0)
            for step in range(3):
                log(losses, step)
            assert saved(losses, 2)["global"]["count"] == 6
    assert not (losses.config.out_dir / "archive").exists()
    assert len(losses.config.report_paths()) == 1


def test_resuming_an_empty_folder(tmp_path: Path) -> None:
    """A trainer may always call resume."""
    with logger(tmp_path) as losses:
        losses.resume(100)
        log(losses, 101)
        assert saved(losses, 101)["global"]["count"] == 2


def test_resuming_under_another_name_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the runs of the folder have other names, the one that was meant is not gone on with."""
    for name in ("cats", "dogs"):
        with logger(tmp_path, job_name=name) as losses:
            log(losses, 1)
    with logger(tmp_path, job_name="Cats") as losses:
        losses.resume(1)
        log(losses, 2)
        assert saved(losses, 2)["global"]["count"] == 2
    (message,) = (record.getMessage() for record in caplog.records)
    assert "no record of the run 'Cats' up to step 1, only of cats, dogs" in message
    with logger(tmp_path, job_name="Cats") as losses:
        losses.resume(2)
    assert len(caplog.records) == 1


def test_a_used_folder_is_archived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without resume, the earlier run is moved away whole, nothing of it enters the new one, and it is said once."""
    for run in range(3):
        with logger(tmp_path) as losses:
            for step in range(1, 4):
                log(losses, step, loss=float(run))
            assert saved(losses, 3)["global"] | {"top_k": [], "histogram": None} == {
                **saved(losses, 3)["global"], "count": 6, "mean": float(run), "top_k": [], "histogram": None,
            }  # fmt: skip
        assert len(caplog.records) == run
    archives = sorted((losses.config.out_dir / "archive").iterdir())
    assert len(archives) == 2
    for run, archive in enumerate(archives):
        assert read_report(archive / "run_000000003.json").global_.mean == float(run)
        assert RecordLog(archive).read().num_rows == 6


def test_leftovers_of_an_earlier_run_do_not_come_back(tmp_path: Path) -> None:
    """Shards that an interrupted compaction left behind are no records of the new run."""
    with logger(tmp_path) as losses:
        log(losses, 1)
    folder = losses.config.records_dir
    write(RecordLog(folder), [record(step=2)])
    (folder / "rank00000-000000000-000000001.parquet").write_bytes(
        (folder / "rank00000-000000001-000000001.parquet").read_bytes()
    )
    with logger(tmp_path) as again:
        log(again, 5)
        assert saved(again, 5)["global"]["count"] == 2


def test_keep_reports(tmp_path: Path) -> None:
    """Only the newest stay, of this job."""
    other = tmp_path / "loss_logging" / "run_x_000000001.json"
    other.parent.mkdir()
    other.write_text("{}")
    with logger(tmp_path, keep_reports=2, items="parquet") as losses:
        for step in (1, 2, 9, 10):
            log(losses, step)
            losses.save_step(step)
    names = sorted(path.name for path in (tmp_path / "loss_logging").iterdir() if path.is_file())
    assert names == [
        "run_000000009.items.parquet", "run_000000009.json", "run_000000010.items.parquet", "run_000000010.json",
        "run_x_000000001.json",
    ]  # fmt: skip


def test_interrupted_resume_leaves_no_report_without_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a resume ends before the records are cut, the reports of later steps are gone already."""
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in (1, 2):
            losses.log_batch(step, [0.5], paths=["a"], datasets="d", captions=["a cat on a sofa"])
            losses.save_step(step)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("loss_logging.training.run_folder.RecordLog.truncate", interrupt)
    again = LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline")
    with pytest.raises(KeyboardInterrupt):
        again.resume(1)
    again.close()
    assert [path.name for path in again.config.report_paths()] == ["run_000000001.json"]
