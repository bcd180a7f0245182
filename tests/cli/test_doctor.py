from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from loss_logging.cli.commands import app


def test_the_command_fails_when_something_would_be_in_the_way(tmp_path: Path) -> None:
    """Exit status 0 when all is well, and an error that counts what is not."""
    good = CliRunner().invoke(app, ["doctor", "--out", str(tmp_path), "--loggers", "tensorboard"])
    assert good.exit_code == 0, good.output
    assert "report to tensorboard: it has arrived" in good.output
    bad = CliRunner().invoke(app, ["doctor", "--out", str(tmp_path), "--loggers", "tensorbord"])
    assert str(bad.exception) == "1 of these checks failed; see the lines above"
