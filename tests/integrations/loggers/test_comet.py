"""The Comet backend, beyond what the conformance suite checks."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from loss_logging.errors import ConfigError
from loss_logging.integrations.loggers.comet import CometBackend
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.backends import select_backends

comet_ml = pytest.importorskip("comet_ml")


def test_the_trainers_experiment_stays_the_trainers(
    tmp_path: Path, config: TrainConfig, make_report: Callable[[int], LossReport]
) -> None:
    """In the running experiment our values appear beside the trainer's, and it stays open after our close."""
    experiment = comet_ml.OfflineExperiment(
        project_name="trainer", offline_directory=str(tmp_path / "archives"), log_env_details=False, log_code=False,
        log_git_metadata=False, log_git_patch=False, auto_output_logging=False, display_summary_level=0,
    )  # fmt: skip
    backend = CometBackend.from_config(config)
    experiment.log_metric("train/loss", 0.25, step=1)
    backend.write(make_report(10))
    backend.close()
    experiment.log_metric("train/loss", 0.125, step=2)
    experiment.end()
    (path,) = (tmp_path / "archives").glob("*.zip")
    lines = zipfile.ZipFile(path).read("messages.json").decode().splitlines()
    metrics = [m["payload"]["metric"] for m in map(json.loads, lines) if m["type"] == "metric_msg"]
    found = [(m["metricName"], m["step"], m["metricValue"]) for m in metrics]
    assert [row for row in found if row[0] == "train/loss"] == [("train/loss", 1, 0.25), ("train/loss", 2, 0.125)]
    assert ("loss_logging/loss/cats", 10, 10.5) in found


def test_without_an_experiment_it_says_what_to_do(config: TrainConfig) -> None:
    """Neither a running experiment nor a project is an error that names both ways out."""
    with pytest.raises(RuntimeError, match=r"comet_ml\.start\(\).*project"):
        CometBackend.from_config(config).write_scalars(1, {})


def test_options_of_an_experiment_need_a_project() -> None:
    """An option that would go unheard is refused when the run is configured, where the backend is known by name."""
    entry = {"name": "loss_logging.integrations.loggers.comet:CometBackend", "offline": True}
    with pytest.raises(ConfigError, match="allowed only together with the option project"):
        select_backends([entry])
