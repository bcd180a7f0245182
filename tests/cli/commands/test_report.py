from __future__ import annotations

import shlex
from pathlib import Path

from late_runs import call, train

from loss_logging.runs.facts import report_command


def test_the_command_is_one_for_a_shell(tmp_path: Path) -> None:
    """Whatever the folder and job are called, the sentence that closing gives can be pasted."""
    root = tmp_path / "it's a [run]"
    config = train(root, job="big cats").config
    assert Path(call(*shlex.split(report_command(config, 70))[1:]).strip()) == config.report_path(70)
