"""loss-logging doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging.cli.examine import Observation, examine


def found(folder: Path, *loggers: object) -> dict[str, Observation]:
    return {finding.subject: finding for finding in examine(folder, loggers, timeout=30)}


def test_a_report_goes_through_a_tracker_and_leaves_nothing(tmp_path: Path) -> None:
    """A tracker that works is found to, and the folder is as empty as before."""
    findings = found(tmp_path, "tensorboard")
    assert findings["report to tensorboard"].ok is True
    assert findings[str(tmp_path)].ok is True
    assert findings["duckdb"].text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_not_there_is_not_there_afterwards(tmp_path: Path) -> None:
    """What doctor made to try it is taken away, parents included."""
    folder = tmp_path / "missing" / "run"
    assert found(folder)[str(folder)].ok is True
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_stays(tmp_path: Path) -> None:
    """Also an empty one, by whatever way it is named."""
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "missing" / ".." / "mine"
    assert found(folder)[str(folder)].ok is True
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A save_root in which nothing can be made is found, with the reason and what to do."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "run"
    finding = found(folder)[str(folder)]
    assert finding.ok is False
    assert "choose another save_root" in finding.text


def test_what_is_wrong_with_a_tracker_is_said(tmp_path: Path) -> None:
    """A typo, a tracker that fails and one that only lives in the trainer each get their sentence."""
    findings = found(tmp_path, "tensorbord", "test_examine:Down", "memory")
    assert "did you mean tensorboard?" in findings["report to tensorbord"].text
    assert findings["report to test_examine:Down"].ok is False
    assert "the server is down" in findings["report to test_examine:Down"].text
    assert findings["report to memory"].ok is None


class Down:
    """A tracker whose server is down."""

    name = "test_examine:Down"

    def write(self, report: object) -> None:
        raise ConnectionError("the server is down")

    write_scalars = write

    def close(self) -> None:
        """Nothing is open."""


def test_secrets_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of trackers are shown, but no key."""
    monkeypatch.setenv("WANDB_API_KEY", "s3cret")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///m.db")
    findings = found(tmp_path)
    assert findings["WANDB_API_KEY"].text == "is set"
    assert findings["MLFLOW_TRACKING_URI"].text == "sqlite:///m.db"
