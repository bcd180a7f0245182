"""The training run that the tests kill: its records can be told apart, as every caption is of one of them."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from loss_logging import LossLogger
from loss_logging.training import recorder

FLUSH = 0.01
LAST = 160
SAVE = 20
BATCH = 4


def caption(step: int, i: int) -> str:
    """What identifies a record."""
    return f"a cat in the garden, seen by camera {i} at step {step}"


def log(losses: LossLogger, step: int) -> None:
    """Log the batch of a step; the same one whenever it is asked for."""
    rng = np.random.default_rng(step)
    names = [f"{(step * BATCH + i) % 60}.png" for i in range(BATCH // 2)]
    losses.log_batch(
        step,
        rng.gamma(2.0, 0.1, BATCH),
        paths=names + [f"{step}-{i}.png" for i in range(BATCH // 2, BATCH)],  # some come again, some do not
        datasets=[f"d{i % 2}" for i in range(BATCH)],
        captions=[caption(step, i) for i in range(BATCH)],
        timesteps=rng.random(BATCH),
        losses_empty=rng.gamma(2.0, 0.12, BATCH),
    )


def options(root: str | Path, **more: Any) -> dict[str, Any]:
    """The run's configuration."""
    defaults: dict[str, Any] = {
        "job_name": "job",
        "save_root": root,
        "loggers": [],
        "save_every": SAVE,
        "timeouts": {"flush": FLUSH, "close": 100.0},
    }
    return defaults | more


def main(root: str, resume: int, last: int, pause: float = 0.008, hold: float | None = None) -> None:
    """Train from ``resume`` to ``last``, and print each step and when it was logged.

    With ``hold``, go on from the first save step when its report is there, and wait at step ``hold`` to be killed.
    """
    recorder._DRAIN_SECONDS = 0.01
    recorder._SLICE_BATCHES, recorder.SHARD_ROWS = 2, BATCH  # two steps a shard: they get compacted during the run
    with LossLogger(**options(root)) as losses:
        losses.resume(resume)
        for step in range(resume + 1, last + 1):
            log(losses, step)
            print(step, time.time(), flush=True)
            if step % SAVE == 0:
                report = losses.save_step(step)
                if hold is not None and step == SAVE:
                    report.result(120)
            if step == hold:
                signal.pause()
            time.sleep(pause)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]), *map(float, sys.argv[4:]))
