"""A trainer with an adapter, with the flaws that the conformance suite is there to find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from loss_logging import LossLogger
from loss_logging.testing import Task, Trained

BATCH = 4


def train(task: Task, flaw: str = "") -> Trained:
    """Learns the mean of some numbers by gradient descent, in numpy."""
    rng = np.random.default_rng(0)
    numbers = rng.random(16)
    file = task.folder / "weight.json"
    weight, first = (
        (json.loads(Path(f"{file}.{task.resume_from}").read_text()), task.resume_from) if task.resume_from else (0.0, 0)
    )
    losses, scalars, examples = None if task.config is None else LossLogger(task.config), {}, 0
    if losses is not None and first and flaw != "resume":
        losses.resume(first)
    for step in range(first + 1, task.steps + 1):
        chosen = [(step * BATCH + i) % len(numbers) for i in range(BATCH)]
        each = (weight - numbers[chosen]) ** 2
        weight -= 0.1 * float(np.mean(2 * (weight - numbers[chosen])))
        scalars[step] = float(each.mean())
        examples += BATCH
        if losses is not None:
            if flaw == "weights":
                weight += 1e-12
            _log(losses, step, each * 2 if flaw == "parity" else each, chosen, task, flaw)
        if step % task.save_every == 0 or step == task.steps:
            Path(f"{file}.{step}").write_text(json.dumps(weight))
            if losses is not None and not (flaw == "report" and step < task.steps):
                losses.save_step(step)
    if losses is not None:
        losses.close()
    return Trained({"weight": np.array(weight)}, scalars, examples)


def _log(losses: LossLogger, step: int, each: Any, chosen: list[int], task: Task, flaw: str) -> None:
    if task.unknown and step == 2:
        if flaw != "count":
            losses.count_unlogged(BATCH, "the loss of the step is unknown")
        return
    paths = ["same.png"] * BATCH if flaw == "names" else [f"{number}.png" for number in chosen]
    losses.log_batch(step, each, paths=paths, datasets="numbers", captions=["a number"] * BATCH)


def weights(task: Task) -> Trained:
    return train(task, "weights")


def parity(task: Task) -> Trained:
    return train(task, "parity")


def names(task: Task) -> Trained:
    return train(task, "names")


def report(task: Task) -> Trained:
    return train(task, "report")


def count(task: Task) -> Trained:
    return train(task, "count")


def resume(task: Task) -> Trained:
    return train(task, "resume")


def ranks(task: Task) -> Trained:
    """Only the first of several logs."""
    import os

    return train(task._replace(config=None) if os.environ.get("RANK") == "1" else task)
