"""The facts at the start of a run, in a file beside its log. With them a report can be made after the process died."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from loss_logging.runs.config import TrainConfig
from loss_logging.support.files import whole_file

__all__ = ["RunFacts", "read_facts", "report_command", "write_facts"]


class RunFacts(msgspec.Struct, frozen=True):
    """The configuration, the number of ranks, the step after which the run was resumed, and the number of items of each
    dataset that were left out of the training."""

    config: dict[str, Any]
    world_size: int = 1
    resumed_from: int | None = None
    excluded: dict[str, int] = {}


def write_facts(config: TrainConfig, facts: RunFacts) -> None:
    """Write the facts of a run.

    Raises:
        OSError: the folder is not writable.
    """
    with whole_file(config.paths.facts) as file:
        file.write(msgspec.json.encode(facts))


def read_facts(config: TrainConfig) -> RunFacts | None:
    """The facts of a run; None if an older version wrote the run without them, or if they cannot be read."""
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
