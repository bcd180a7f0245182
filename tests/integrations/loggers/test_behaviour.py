"""docs/tracker_behaviour.md says what trackers really do."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "tracker_behaviour.md").read_text("utf-8")


def test_the_table_is_of_the_versions_that_are_tested() -> None:
    """Each row names the version of the tracker that the tests use."""
    for tracker, package in (
        *(("TensorBoard", "tensorboard"), ("W&B", "wandb"), ("MLflow", "mlflow-skinny")),
        *(("Trackio", "trackio"), ("Comet", "comet_ml")),
    ):
        rows = re.findall(rf"^\| {tracker} ([\d.]+)", PAGE, re.MULTILINE)
        assert rows, tracker
        assert set(rows) == {version(package)}, tracker


@pytest.mark.long
def test_the_table_is_what_the_command_prints() -> None:
    """The command beside the table prints it, line by line: each tracker is run, and read back."""
    done = subprocess.run([sys.executable, HERE / "behaviour.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 9
    assert [row for row in rows if row not in PAGE] == []
