"""What the tests of all tracker backends share."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from sample_report import sample_report

from loss_logging.reports.report import LossReport, Picture
from loss_logging.runs.config import TrainConfig


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A configuration whose files stay in the test's folder."""
    return TrainConfig(job_name="cats", save_root=tmp_path, max_table_rows=6)


@pytest.fixture
def make_report(tmp_path: Path) -> Callable[[int], LossReport]:
    """Builds the report of a step."""
    return lambda step: msgspec.structs.replace(sample_report(step, tmp_path), config={"max_table_rows": 6})


@pytest.fixture
def pictured(make_report: Callable[[int], LossReport]) -> LossReport:
    """The report of step 150 with a red picture of its first item and none of the second."""
    out = io.BytesIO()
    Image.new("RGB", (80, 40), "red").save(out, "WEBP")
    pictures = [
        Picture("cats", "1.png", out.getvalue()),
        Picture("cats", "2.png", None, "the file is not there any more"),
    ]
    return msgspec.structs.replace(make_report(150), pictures=pictures)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A run with a process of its own takes seconds for each tracker: one of them stands for the rest in every run.
    Comet's archives and MLflow's stores are slow to make: a few cases stand for the rest."""
    for item in items:
        case, _, backend = item.name.partition("[")
        slow = case == "test_a_run_delivers_everything" and backend not in _ALWAYS
        if slow or case not in _FEW.get(backend, (case,)):
            item.add_marker(pytest.mark.long)


_ALWAYS = ("tensorboard]",)
_FEW = {
    "CometBackend]": ("test_a_report_arrives_whole", "test_hostile_text_is_data", "test_closing_twice_is_closing_once"),
    "MlflowBackend]": (
        "test_a_report_arrives_whole",
        "test_another_process_goes_on",
        "test_hostile_text_is_data",
        "test_scalars_arrive_under_their_names",
    ),
}


@pytest.fixture
def trainers_run(tmp_path: Path) -> Iterator[Any]:
    """An active run that the training script began."""
    wandb = pytest.importorskip("wandb")
    run = wandb.init(project="trainer", mode="offline", dir=tmp_path)
    yield run
    run.finish()
