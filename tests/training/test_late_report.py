"""loss_logging/late_report.py and ``loss-logging report``: reports of runs that ended without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same, record, strict_json, write
from late_runs import STEPS, call, train
from typer.testing import CliRunner

from loss_logging import LossLogger, read_report
from loss_logging.cli.commands import app
from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.reports.items import read_items
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import find_report, find_run
from loss_logging.training.late_report import find_or_make_report, make_report


def figures_in(path: Path) -> dict[str, Any]:
    """What a report says, but for when and where it was made; items by their paths."""
    report = strict_json(path)
    del report["job"]["created"], report["config"]["save_root"]
    for dataset in report["datasets"].values():
        dataset["item_stats"] = dict(sorted(dataset["item_stats"].items()))
    return report


def items_in(path: Path) -> list[dict[str, Any]]:
    return [row for batch in read_items(path) for row in batch.to_pylist()]


OPTIONS: tuple[dict[str, Any], ...] = ({}, {"log_per_dataset": False}, {"log_per_example": False}, {"keep_reports": 1})
FORMATS = ("json", "parquet")


@pytest.mark.parametrize(
    ("options", "items"),
    [
        (OPTIONS[0], "json"),
        (OPTIONS[3], "parquet"),
        *(pytest.param(*both, marks=pytest.mark.long) for both in zip(OPTIONS[1:3], FORMATS[::-1], strict=True)),
        *(pytest.param(*both, marks=pytest.mark.long) for both in zip(OPTIONS, FORMATS[::-1] * 2, strict=True)),
    ],
)
def test_the_report_is_the_runs_own(options: dict[str, Any], items: str, tmp_path: Path) -> None:
    """What is made from the log is what the save step would have made, up to when and where it was made; for any step,
    in whatever order, with the configuration that the run had."""
    train(tmp_path / "with", 100, STEPS, items=items, **options)
    train(tmp_path / "without", items=items, **options)
    root = tmp_path / "without"
    assert not list((root / "loss_logging").glob("*.json"))
    made = [Path(call("report", root).strip()), Path(call("report", f"{root}@100").strip())]
    assert [path.name for path in made] == ["cats_000000130.json", "cats_000000100.json"]
    assert Path(call("report", root, "--step", 100, "--json") and made[1]).exists()
    for path in made:
        own = tmp_path / "with" / "loss_logging" / path.name
        if not own.exists():  # keep_reports=1
            continue
        assert_same(figures_in(path), figures_in(own), rel=1e-12)
        assert_same(*(sorted(map(str, items_in(place))) for place in (path, own)))


def test_a_run_without_any_report_is_shown(tmp_path: Path) -> None:
    """show, html, export, compare and push make the last one themselves, once, and go on."""
    train(tmp_path / "trained")
    for name in ("expected", "step"):
        shutil.copytree(tmp_path / "trained", tmp_path / name)
    expected = read_report(make_report(find_run(tmp_path / "expected")))
    calls: dict[str, list[str]] = {
        "show": [],
        "html": [],
        "export": ["--to", "csv", "--out", str(tmp_path / "items.csv")],
        "compare": [str(tmp_path / "expected")],
        "push": ["--to", "tensorboard"],
    }
    for command, arguments in calls.items():
        root = shutil.copytree(tmp_path / "trained", tmp_path / command)
        output = call(command, root, *arguments)
        (path,) = (root / "loss_logging").glob("cats_*.json")
        assert path.name == "cats_000000130.json"
        assert_same(read_report(path).global_.mean, expected.global_.mean)
        written = path.stat().st_mtime_ns
        call(command, root, *arguments)
        assert path.stat().st_mtime_ns == written
        if command == "push":
            assert "1 report" in output
    assert (tmp_path / "items.csv").read_text("utf-8").count("\n") == 1 + sum(
        len(dataset.item_stats) for dataset in expected.datasets.values()
    )
    assert json.loads(call("show", f"{tmp_path / 'step'}@70", "--json"))["job"]["step"] == 70


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    """A run that has reports keeps to them, and says how to get another; a job without any gets its own by name."""
    train(tmp_path, 50, 100)
    train(tmp_path, job="dogs")
    assert find_or_make_report(tmp_path).name == "cats_000000100.json"
    with pytest.raises(LossLoggingError, match=r"no report of step 70; the last ones are of: 50, 100. .* --step 70"):
        find_or_make_report(f"{tmp_path}@70")
    assert find_or_make_report(tmp_path, "dogs").name == "dogs_000000130.json"
    with pytest.raises(LossLoggingError, match="there are: cats, dogs"):
        find_or_make_report(tmp_path, "birds")
    with pytest.raises(LossLoggingError, match="holds no report"):
        find_or_make_report(tmp_path / "loss_logging" / "records")


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    """No folder, no records, another job, a step that is not in the log, or a run that goes on: one sentence each."""
    (tmp_path / "empty").mkdir()
    config = train(tmp_path / "run").config
    for arguments, words in (
        (["none"], "none is not there"),
        (["empty"], "holds no records"),
        (["run", "--job", "dogs"], "no records of the job 'dogs'; there are: cats"),
        (["run", "--step", "131"], "ends at step 130; it has no step 131"),
        (["run", "--step", "0"], "begins after step 0; give a later one"),
    ):
        with pytest.raises(LossLoggingError, match=words):
            call("report", tmp_path / arguments[0], *arguments[1:])
    assert CliRunner().invoke(app, ["report", f"{tmp_path / 'run'}@70", "--step", "71"]).exit_code == 2
    with LossLogger(job_name="cats", save_root=tmp_path / "run", loggers=[], reporter="inline") as losses:
        losses.resume(100)
        losses.log_records(101, [record()])
        for make in (lambda: make_report(config), lambda: find_or_make_report(tmp_path / "run")):
            with pytest.raises(LossLoggingError, match="is not over"):
                make()
    assert not list((tmp_path / "run" / "loss_logging").glob("*.json"))


def test_a_log_of_an_older_version(tmp_path: Path) -> None:
    """Without a note of what the run began with, the last report's configuration counts, or else the default one."""
    config = train(tmp_path).config
    config.paths.facts.unlink()
    assert read_report(make_report(config)).config["save_every"] == 250
    train(tmp_path / "other", 100)
    other = TrainConfig(job_name="cats", save_root=tmp_path / "other")
    other.paths.facts.unlink()
    assert read_report(make_report(other)).config["save_every"] == 50


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    """What can be read is reported, and the report says what is left out."""
    log = RecordLog(tmp_path / "loss_logging" / "records" / "cats")
    log.folder.mkdir(parents=True)
    write(log, [record(step=1)] * 50)
    damaged = write(log, [record(step=2)] * 50)
    write(log, [record(step=3)] * 50)
    data = bytearray(damaged.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    damaged.write_bytes(data)
    report = read_report(make_report(TrainConfig(job_name="cats", save_root=tmp_path)))
    assert report.global_.count == 100
    assert damaged.name in report.warnings[0]


@pytest.mark.usefixtures("empty_store")
def test_a_run_in_an_object_store(tmp_path: Path) -> None:
    """The log is copied, with what the run began with, and the report made of the copy."""
    train(Path("x"), spool=tmp_path / "spool", save_root="memory://bucket/late")
    path = find_or_make_report("memory://bucket/late@70")
    assert (read_report(path).job.step, read_report(path).config["save_every"]) == (70, 50)
    with pytest.raises(LossLoggingError):
        find_report("memory://bucket/late")


# --- timesteps, in whole runs -----------------------------------------------------------------------------------------


def steps_of(losses: LossLogger, first: int, last: int) -> Path | None:
    """Train for some steps on timesteps of 0 to 80, saving at every 20th; the last report."""
    path = None
    for step in range(first, last + 1):
        rng = np.random.default_rng(step)
        sigmas = np.minimum(np.exp(rng.normal(-1.2, 1.2, 8)), 80)
        losses.log_batch(
            step,
            sigmas + rng.random(8),
            paths=[f"{i}.png" for i in rng.integers(0, 20, 8)],
            datasets="d",
            captions=["a cat on a mat"] * 8,
            timesteps=sigmas,
        )
        if step % 20 == 0:
            path = losses.save_step(step).result()
    return path


@pytest.mark.parametrize("resumed_at", [25, *(pytest.param(step, marks=pytest.mark.long) for step in (5, 50))])
def test_figures_do_not_depend_on_a_resume(resumed_at: int, tmp_path: Path) -> None:
    """Bins that the first timesteps made are the same whenever the first save was, and resumed or not."""
    options: dict[str, Any] = {"job_name": "cats", "loggers": [], "reporter": "inline", "save_every": 20}
    with LossLogger(save_root=tmp_path / "whole", **options) as losses:
        whole = steps_of(losses, 1, 60)
    with LossLogger(save_root=tmp_path / "parts", **options) as losses:
        steps_of(losses, 1, resumed_at + 9)
    with LossLogger(save_root=tmp_path / "parts", **options) as losses:
        losses.resume(resumed_at)
        parts = steps_of(losses, resumed_at + 1, 60)
    assert whole is not None
    assert parts is not None
    found, expected = figures_in(parts), figures_in(whole)
    for report in (found, expected):
        del report["job"], report["recent"]
    assert_same(found, expected, rel=1e-9)
    curve = found["global"]["loss_by_timestep"]
    assert len(curve["edges"]) == 21
    assert max(curve["counts"]) < 3 * min(curve["counts"])


def test_timesteps_that_change_are_said_to(tmp_path: Path) -> None:
    """When more lie outside than fill a bin, the report says how many, and what to do."""
    with LossLogger(job_name="cats", save_root=tmp_path, loggers=[], reporter="inline", save_every=20) as losses:
        steps_of(losses, 1, 40)
        rows = [record(path=str(i), timestep=500.0) for i in range(100)]
        losses.log_records(41, rows)
        path = losses.save_step(41).result()
    assert path is not None
    (warning,) = read_report(path).warnings
    assert "timesteps lie outside 0.0" in warning
    assert warning.endswith("count to the nearest bin; set timestep_scale in the configuration")


@pytest.mark.parametrize("mixed", [True, False])
def test_timesteps_of_two_scales_are_said_to_be(tmp_path: Path, mixed: bool) -> None:
    """Those from 0 to 1 beside those from 0 to 999 are warned about; either alone is not."""
    with LossLogger(job_name="cats", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in range(1, 41):
            at = [(step * 10 + i * 37) % 1000 for i in range(10)]
            scaled = [t / 1000 if mixed and i % 2 else float(t) for i, t in enumerate(at)]
            losses.log_records(step, [record(path=str(i), timestep=t) for i, t in enumerate(scaled)])
        path = losses.save_step(40).result()
    assert path is not None
    assert ["share one curve" in warning for warning in read_report(path).warnings] == [True] * mixed
