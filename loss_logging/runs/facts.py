"""What a run began with, beside its log: enough to make a report when the process that would have is gone."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from loss_logging.runs.config import TrainConfig
from loss_logging.support.files import whole_file

__all__ = ["RunFacts", "read_facts", "report_command", "write_facts"]


class RunFacts(msgspec.Struct, frozen=True):
    """The configuration, how many ranks there are, the step that the run went on after, and how many items of each
    dataset were left out of the training."""

    config: dict[str, Any]
    world_size: int = 1
    resumed_from: int | None = None
    excluded: dict[str, int] = {}


def write_facts(config: TrainConfig, facts: RunFacts) -> None:
    """Note what a run begins with.

    Raises:
        OSError: the folder cannot be written.
    """
    with whole_file(config.paths.facts) as file:
        file.write(msgspec.json.encode(facts))


def read_facts(config: TrainConfig) -> RunFacts | None:
    """What the run began with; None of a run of a version that did not note it, or where that cannot be read."""
    try:
        return msgspec.json.decode(config.paths.facts.read_bytes(), type=RunFacts)
    except (OSError, msgspec.DecodeError):
        return None


def report_command(config: TrainConfig, step: int) -> str:
    """The command that makes the report of a step from the log.

    >>> report_command(TrainConfig(job_name="cats", save_root="my runs"), 500)
    "loss-logging report 'my runs' --job cats --step 500"
    """
    return shlex.join(["loss-logging", "report", str(config.local_root), "--job", config.job_name, "--step", str(step)])
