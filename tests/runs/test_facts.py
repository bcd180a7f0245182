from __future__ import annotations

import shlex
from pathlib import Path

from configs import build

from loss_logging.runs.facts import RunFacts, read_facts, report_command, write_facts


def test_what_was_noted_is_read_back(tmp_path: Path) -> None:
    """And where nothing was noted, or what is there cannot be read, nothing is known and nothing is raised."""
    config = build(save_root=tmp_path)
    assert read_facts(config) is None
    config.paths.facts.parent.mkdir(parents=True)
    facts = RunFacts({"job_name": "job", "top_k": 3}, world_size=4, resumed_from=250)
    write_facts(config, facts)
    assert read_facts(config) == facts
    config.paths.facts.write_bytes(b"{")
    assert read_facts(config) is None


def test_the_command_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Whatever the folder and the job are called, a shell takes it apart into the same words."""
    root = tmp_path / "my runs; rm -rf 'x'"
    command = report_command(build(save_root=root, job_name="a cat's job"), 7)
    assert shlex.split(command) == ["loss-logging", "report", str(root), "--job", "a cat's job", "--step", "7"]
