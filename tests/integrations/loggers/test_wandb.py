"""The W&B backend, read back from offline runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from sample_report import HOSTILE
from wandb_file import OfflineRun, finished, history

from loss_logging import LossLogger
from loss_logging.integrations.loggers.wandb import WandbBackend
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.delivery import Delivery

wandb = pytest.importorskip("wandb")

MakeReport = Callable[[int], LossReport]
LOSS = "loss_logging/loss/cats"
STEP = "loss_logging/step"


def check_report(found: OfflineRun, row: dict[str, Any], report: LossReport) -> None:
    assert row[STEP] == report.job.step
    assert row[LOSS] == report.recent["cats"]
    assert (row["loss_logging/rules/short"], row["loss_logging/rules/url"]) == (7, 8)
    histogram = report.histograms["loss_logging/loss_histogram/cats"]
    shown = row["loss_logging/loss_histogram/cats"]
    assert (shown["bins"], shown["values"]) == (histogram.edges, histogram.counts)
    curve = row["loss_logging/loss_by_timestep/cats"]
    assert (curve["bins"], curve["values"]) == ([0, 250, 500, 1000], [0.25, 0.0, 0.75 + report.job.step])
    worst = found.table(row["loss_logging/worst/hard"])
    assert worst["columns"] == report.tables["loss_logging/worst/hard"].columns
    assert worst["data"] == report.tables["loss_logging/worst/hard"].rows


def test_each_job_has_its_artifact(trainers_run: Any, tmp_path: Path, make_report: MakeReport) -> None:
    """Jobs of one project whose names W&B does not take as they are keep their reports apart, also long ones."""
    jobs = ["my cats", "my_cats", "my|cats", "x" * 120 + "1", "x" * 120 + "2", "猫", "犬"]
    backend = WandbBackend(run=trainers_run)
    for job in jobs:
        report = make_report(10)
        backend.write(msgspec.structs.replace(report, job=msgspec.structs.replace(report.job, name=job)))
    backend.close()
    trainers_run.finish()
    names = {one.name for one in OfflineRun(tmp_path).artifacts if one.type == "loss_report"}
    assert len(names) == len(jobs)
    assert "my_cats-loss-report" in names
    assert max(map(len, names)) <= 128


def test_own_run_holds_what_was_logged(config: TrainConfig, make_report: MakeReport) -> None:
    """Scalars, histograms, curves, tables and the JSON artifact come back with the logged values, one row each."""
    backend = WandbBackend.from_config(config, project="ours", mode="offline", tags=["a"], group="g")
    delivery = Delivery(backend, config)
    reports = [make_report(150), make_report(300)]
    delivery.write_scalars(50, {LOSS: 0.25})
    delivery.write_scalars(100, {LOSS: 0.125})
    for report in reports:
        delivery.write(report)
    assert delivery.close(timeout=60) is None
    found = OfflineRun(Path(config.save_root) / "loss_logging")
    assert (found.run.project, found.run.display_name, found.run.run_group, list(found.run.tags)) == (
        "ours",
        "cats",
        "g",
        ["a"],
    )
    assert found.exit_code == 0
    assert [row[STEP] for row in found.rows] == [50, 100, 150, 300]
    assert [row[LOSS] for row in found.rows] == [0.25, 0.125, 150.5, 300.5]
    for row, report in zip(found.rows[2:], reports, strict=True):
        check_report(found, row, report)
    artifacts = [artifact for artifact in found.artifacts if artifact.type == "loss_report"]
    assert [(a.name, json.loads(a.metadata)) for a in artifacts] == [
        ("cats-loss-report", {"step": 150}),
        ("cats-loss-report", {"step": 300}),
    ]
    assert [[Path(e.path).name for e in a.manifest.contents] for a in artifacts] == [
        ["cats_000000150.json"],
        ["cats_000000300.json"],
    ]


@pytest.mark.parametrize("own", [True, False])
def test_pictures(own: bool, config: TrainConfig, pictured: LossReport, request: pytest.FixtureRequest) -> None:
    """Rows of a ranking have the pictures of their items, in a run of our own and in the trainer's; none is null."""
    run = None if own else request.getfixturevalue("trainers_run")
    backend = WandbBackend.from_config(config, **({"project": "ours", "mode": "offline"} if own else {"run": run}))
    backend.write(pictured)
    backend.close()
    found = OfflineRun(Path(config.save_root) / "loss_logging") if run is None else finished(run)
    name = "loss_logging/worst/hard.table.json"
    contents = [{entry.path: Path(entry.local_path) for entry in a.manifest.contents} for a in found.artifacts]
    (files,) = (entries for entries in contents if name in entries)
    table = json.loads(files[name].read_bytes())
    assert table["columns"][-1] == "picture"
    first, second = (values[-1] for values in table["data"])
    assert second is None
    assert (first["_type"], first["width"], first["height"]) == ("image-file", 80, 40)
    with Image.open(files[first["path"]]) as image:
        assert image.getpixel((40, 20)) == pytest.approx((255, 0, 0), abs=20)
    (row,) = found.rows_with("loss_logging/worst/hard")
    assert found.table(row["loss_logging/worst/hard"])["columns"] == table["columns"]
    assert "picture" not in found.table(row["loss_logging/flagged_captions"])["columns"]


def test_another_process_continues_the_run(config: TrainConfig) -> None:
    """A second backend of one training run writes to the run of the first, under row numbers of its own."""
    for step in (10, 20):
        backend = WandbBackend.from_config(config, project="ours", mode="offline")
        backend.write_scalars(step, {LOSS: 0.5})
        backend.close()
    runs = history(Path(config.save_root) / "loss_logging")
    assert [(row["_step"], row[STEP]) for run in runs for row in run] == [(0, 10), (1000, 20)]
    assert len({path.name for path in Path(config.save_root).rglob("*.wandb")}) == 1


def test_a_damaged_run_file_costs_the_run_its_name_only(config: TrainConfig, caplog: pytest.LogCaptureFixture) -> None:
    """When the identifier cannot be read or kept, a new run is begun, and that is said."""
    backend = WandbBackend.from_config(config, project="ours", mode="offline")
    run_file = Path(config.save_root) / "loss_logging" / "delivered" / "cats" / "wandb-ours.json"
    run_file.parent.mkdir(parents=True)
    run_file.write_text('{"id": 5}')
    backend.write_scalars(10, {LOSS: 0.5})
    backend.close()
    assert "A new W&B run is begun" in caplog.text
    assert '"next_row":1000' in run_file.read_text()


def test_charts_have_our_step_as_axis(config: TrainConfig, make_report: MakeReport) -> None:
    """Every metric of ours is drawn over the step of the training, which is itself hidden."""
    backend = WandbBackend.from_config(config, project="ours", mode="offline")
    backend.write(make_report(1))
    backend.close()
    metrics = OfflineRun(Path(config.save_root) / "loss_logging").metrics
    assert [(m.name, m.glob_name, m.step_metric, m.options.hidden) for m in metrics] == [
        (STEP, "", "", True),
        ("", "loss_logging/*", STEP, False),
    ]


def test_own_run_beside_the_trainers(config: TrainConfig, trainers_run: Any, make_report: MakeReport) -> None:
    """With a project, a run that the trainer has open in the same process is neither written to nor finished."""
    trainers_run.log({"train/loss": 1.0})
    backend = WandbBackend.from_config(config, project="ours", mode="offline", dir=Path(config.save_root) / "own")
    backend.write(make_report(1))
    backend.close()
    assert wandb.run is trainers_run
    trainers_run.log({"train/loss": 2.0})
    found = finished(trainers_run)
    assert [(row["_step"], row["train/loss"]) for row in found.rows] == [(0, 1.0), (1, 2.0)]
    assert not found.rows_with(STEP)
    assert len(OfflineRun(Path(config.save_root) / "own").rows_with(LOSS)) == 1


SWEPT = """
import os, sys
import wandb
from loss_logging import LossLogger

reporter, group = sys.argv[1:]
own = {"name": "wandb", "project": "ours", "mode": "offline", "dir": "own"} | ({"group": group} if group else {})
run = wandb.init(dir=".", mode="offline") if reporter == "inline" else None
with LossLogger(job_name="cats", save_root="run", loggers=[own], reporter=reporter, save_every=1) as losses:
    for step in (1, 2):
        losses.log_batch(step, [0.5], paths=["1.png"], datasets="cats", captions=["a cat on a mat"])
        losses.save_step(step).result()
run = run or wandb.init(dir=".", mode="offline")
run.log({"train/loss": 0.5})
print(run.id, run.sweep_id, run.config["lr"])
run.finish()
assert os.environ["WANDB_RUN_ID"] == wandb.setup().settings.run_id == "trainers"
"""


@pytest.mark.parametrize(
    ("reporter", "group", "launch"),
    [
        ("process", "", True),
        pytest.param("process", "", False, marks=pytest.mark.long),
        pytest.param("inline", "g", True, marks=pytest.mark.long),
        pytest.param("inline", "", True, marks=pytest.mark.long),
        pytest.param("process", "g", True, marks=pytest.mark.long),
    ],
)
def test_a_run_of_our_own_in_a_sweep(reporter: str, group: str, launch: bool, tmp_path: Path) -> None:
    """With the environment that an agent, or Launch, makes for the trainer's run, ours is another, in our project, and
    its group names the sweep; the trainer's is what it is without us."""
    parameters = tmp_path / "config-trainers.yaml"
    parameters.write_text("wandb_version: 1\nlr:\n  value: 0.125\n")
    swept = {
        "WANDB_SWEEP_ID": "s1w2e3e4",
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        "WANDB_RUN_ID": "trainers",
        "WANDB_PROJECT": "theirs",
        "WANDB_ENTITY": "team",
        "WANDB_SILENT": "true",
    } | ({"WANDB_LAUNCH": "True", "WANDB_RESUME": "allow", "WANDB_NAME": "launched"} if launch else {})
    done = subprocess.run(
        [sys.executable, "-c", SWEPT, reporter, group],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | swept,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "trainers s1w2e3e4 0.125"
    ours = OfflineRun(tmp_path / "own")
    assert ours.run.run_id != "trainers"
    assert (ours.run.project, ours.run.sweep_id, ours.run.display_name) == ("ours", "", "cats")
    assert ours.run.run_group == (group or "sweep-s1w2e3e4")
    assert [row[STEP] for row in ours.rows_with(LOSS)] == [1, 2]
    theirs = OfflineRun(tmp_path / "wandb")
    assert (theirs.run.run_id, theirs.run.project, theirs.run.sweep_id) == ("trainers", "theirs", "s1w2e3e4")
    assert [row["train/loss"] for row in theirs.rows] == [0.5]


def test_hostile_captions_are_cut_and_keep_the_column_type(config: TrainConfig, make_report: MakeReport) -> None:
    """A table has at most max_table_rows rows; captions arrive as they are, but for long ones and what is no text."""
    backend = WandbBackend.from_config(config, project="ours", mode="offline")
    backend.write(make_report(1))
    backend.close()
    found = OfflineRun(Path(config.save_root) / "loss_logging")
    captions = [row[2] for row in found.table(found.rows[0]["loss_logging/flagged_captions"])["data"]]
    assert len(captions) == config.max_table_rows
    assert captions[:4] == HOSTILE[:4]
    assert captions[4] == "lone \ufffd surrogate, nul \ufffd, markers \ufffdklzzwxh:0000\ufffd"
    assert captions[5] == "x" * 999 + "…"


def test_report_in_the_trainers_run(config: TrainConfig, trainers_run: Any, make_report: MakeReport) -> None:
    """A report's figures and its JSON come back from the trainer's active run, which stays open after our close."""
    backend = WandbBackend.from_config(config)
    trainers_run.log({"train/loss": 1.0}, step=7)
    backend.write(make_report(7))
    backend.close()
    trainers_run.log({"train/loss": 2.0}, step=8)
    found = finished(trainers_run)
    assert [row["train/loss"] for row in found.rows] == [1.0, 2.0]
    check_report(found, found.rows[0], make_report(7))
    assert [a.name for a in found.artifacts if a.type == "loss_report"] == ["cats-loss-report"]


def test_a_disabled_run_is_no_trouble(config: TrainConfig, make_report: MakeReport) -> None:
    """With W&B switched off by the trainer, writing, waiting and closing do nothing and raise nothing."""
    run = wandb.init(mode="disabled")
    delivery = Delivery(WandbBackend(run=run), config)
    for step in range(5):
        delivery.write_scalars(step, {LOSS: 0.5})
    delivery.write(make_report(5))
    assert delivery.close(timeout=30) is None
    run.finish()


def test_a_report_whose_json_is_gone_is_still_shown(config: TrainConfig, make_report: MakeReport) -> None:
    """Where few reports are kept, the JSON may be deleted before a slow tracker gets to it; the figures arrive."""
    report = make_report(1)
    Path(str(report.json_path)).unlink()
    backend = WandbBackend.from_config(config, project="ours", mode="offline")
    backend.write(report)
    backend.close()
    found = OfflineRun(Path(config.save_root) / "loss_logging")
    check_report(found, found.rows[0], report)
    assert not [artifact for artifact in found.artifacts if artifact.type == "loss_report"]


def test_no_active_run_is_said(config: TrainConfig) -> None:
    """Without a run and without a project the error says what to do."""
    assert wandb.run is None
    with pytest.raises(RuntimeError, match=r"call wandb\.init\(\) in the training script.*project"):
        WandbBackend.from_config(config).write_scalars(1, {LOSS: 0.5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"project": "p", "mode": "ofline"}, "'ofline'; allowed: online, offline, disabled"),
        ({"project": "p", "run": object()}, "either run"),
        ({"mode": "offline", "group": "g"}, r"group, mode: allowed only together with.*project"),
    ],
)
def test_impossible_options(options: dict[str, Any], message: str) -> None:
    """Options that are impossible, exclude or need one another are named before anything is built."""
    with pytest.raises(ValueError, match=message):
        WandbBackend.requirements(**options)


def test_choosing_wandb_does_not_import_it() -> None:
    """Loading the backend's module leaves the SDK alone until the first write."""
    code = "import sys, loss_logging.integrations.loggers.wandb as w; w.WandbBackend(); print('wandb' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_loss_by_timestep_is_a_chart(config: TrainConfig, make_report: MakeReport) -> None:
    """One custom chart with a line for each dataset, read back from the run's file with its points."""
    backend = WandbBackend.from_config(config, project="ours", mode="offline")
    backend.write(make_report(150))
    backend.close()
    found = OfflineRun(Path(config.save_root) / "loss_logging")
    name = "loss_logging/loss_by_timestep_of_all_table"
    (row,) = found.rows_with(name)
    table = found.table(row[name])
    assert table["columns"] == ["step", "lineKey", "lineVal"]
    assert [values[:2] for values in table["data"] if values[1] == "cats"] == [[125.0, "cats"], [750.0, "cats"]]


def test_push_without_a_login_says_so_once(tmp_path: Path) -> None:
    """One sentence for all that was not delivered, and not one for each step; nothing is noted as delivered."""
    options: dict[str, Any] = {"log_every": 1, "save_every": 4, "reporter": "inline"}
    with LossLogger(job_name="cats", save_root=tmp_path, loggers=[], **options) as losses:
        for step in range(1, 9):
            losses.log_batch(step, [0.5], paths=["1.png"], datasets="cats", captions=["a cat on a sofa"])
            if step % 4 == 0:
                losses.save_step(step).result(60)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    code = "from loss_logging.cli import main; main()"
    command = [sys.executable, "-c", code, "push", str(tmp_path), "--to", "wandb", "--project", "p"]
    done = subprocess.run(command, capture_output=True, text=True, env=kept | {"HOME": str(tmp_path), "COLUMNS": "500"})
    assert done.returncode == 1
    (sentence,) = (line for line in done.stdout.splitlines() if "not delivered" in line)
    assert re.match(r"the (scalars|report) of step \d and 7 more were not delivered: \w+: ", sentence), sentence
