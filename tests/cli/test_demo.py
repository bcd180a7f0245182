from __future__ import annotations

from pathlib import Path

from command import loss_logging


def test_unknown_logger_exits_with_1(tmp_path: Path) -> None:
    """A logger that does not exist is named, before anything is trained."""
    done = loss_logging("demo", "--out", str(tmp_path), "--loggers", "tensorbord")
    assert done.returncode == 1
    assert "tensorbord" in done.stderr
    assert "tensorboard" in done.stderr
    assert "Traceback" not in done.stderr
