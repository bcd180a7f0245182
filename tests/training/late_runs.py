from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from loss_logging import LossLogger
from loss_logging.cli.commands import app

STEPS = 130


CONFIG: dict[str, Any] = {"save_every": 50, "log_every": 20, "top_k": 3, "captions": {"triggers": {"a": "zwx"}}}


def train(root: Path, *saves: int, job: str = "cats", **options: Any) -> LossLogger:
    """A run of 130 steps that saves at ``saves``, closed."""
    given = {"job_name": job, "save_root": root, "loggers": [], "reporter": "inline"} | CONFIG | options
    rng = np.random.default_rng(0)
    with LossLogger(**given) as losses:
        for step in range(1, STEPS + 1):
            losses.log_batch(
                step,
                rng.lognormal(size=4),
                paths=[f"{i}.png" for i in rng.integers(0, 20, 4)],
                datasets=["a", "b", "a", "b"],
                captions=["a zwx cat on a mat", "untitled", "a dog", ""],
                timesteps=np.exp(rng.normal(size=4)),
                losses_empty=rng.lognormal(size=4),
            )
            if step in saves:
                losses.save_step(step).result()
    return losses


def call(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout
