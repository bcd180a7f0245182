"""What the tests of all tracker backends share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sample_report import sample_report

from loss_logging.config import TrainConfig
from loss_logging.report import LossReport


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A configuration whose files stay in the test's folder."""
    return TrainConfig(job_name="cats", save_root=tmp_path, max_table_rows=6)


@pytest.fixture
def make_report(tmp_path: Path) -> Callable[[int], LossReport]:
    """Builds the report of a step."""
    return lambda step: sample_report(step, tmp_path)
