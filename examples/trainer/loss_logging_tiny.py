"""The adapter of a trainer to copy, and how it is tested.

    pip install examples/trainer
    pytest --loss-logging-trainer tiny

``TinyTrainer`` stands for the trainer, which is somebody else's; ``log_losses`` is the adapter, and ``train`` what the
conformance suite asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from loss_logging import LossLogger, TrainConfig, capture_per_example_loss
from loss_logging.testing import Task, Trained


class TinyTrainer:
    """Somebody else's: it computes a scalar, saves now and then, and can go on from a checkpoint."""

    def __init__(self, folder: Path, steps: int, save_every: int) -> None:
        torch.manual_seed(0)
        self.folder, self.steps, self.save_every = folder, steps, save_every
        self.model = torch.nn.Linear(8, 8)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.step = 0

    def batches(self) -> Iterator[dict[str, Any]]:
        """Two examples a step, the same ones at the same step."""
        for step in range(self.step + 1, self.steps + 1):
            torch.manual_seed(step)
            numbers = [step % 4, step % 4 + 4]
            names = {"paths": [f"{n}.png" for n in numbers], "captions": [f"image {n}" for n in numbers]}
            yield {"images": torch.rand(2, 8), **names}

    def compute_loss(self, batch: dict[str, Any]) -> torch.Tensor:
        return torch.nn.functional.mse_loss(self.model(batch["images"]), batch["images"])

    def train(self) -> None:
        for batch in self.batches():
            self.step += 1
            loss = self.compute_loss(batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.step % self.save_every == 0 or self.step == self.steps:
                self.save()

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, self.folder / f"{self.step}.pt")

    def load(self, step: int) -> None:
        state = torch.load(self.folder / f"{step}.pt")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = step


def log_losses(trainer: TinyTrainer, config: TrainConfig) -> LossLogger:
    """Log the loss of every example of a trainer that is set up, or loaded where it goes on; close the result."""
    losses = LossLogger(config)
    compute_loss, save = trainer.compute_loss, trainer.save
    if trainer.step:
        losses.resume(trainer.step)

    def logged(batch: dict[str, Any]) -> torch.Tensor:
        with capture_per_example_loss(batch_size=len(batch["paths"])) as captured:
            loss = compute_loss(batch)
        captured.check(loss)
        if captured.losses is None:
            losses.count_unlogged(len(batch["paths"]), captured.reason)
        else:
            names = {"paths": batch["paths"], "captions": batch["captions"], "datasets": "tiny"}
            losses.log_batch(trainer.step, captured.losses, **names)
        return loss

    def saved() -> None:
        save()
        losses.save_step(trainer.step)

    trainer.compute_loss, trainer.save = logged, saved  # type: ignore[method-assign]
    return losses


def train(task: Task) -> Trained:
    """A training as the conformance suite wants it: with and without us, resumed, and with a loss that is not known."""
    trainer, scalars, examples = TinyTrainer(task.folder, task.steps, task.save_every), {}, 0
    compute_loss = trainer.compute_loss

    def noted(batch: dict[str, Any]) -> torch.Tensor:
        nonlocal examples
        loss = compute_loss(batch)
        if task.unknown and trainer.step == 2:
            loss = loss + trainer.model.weight.square().sum()  # a second term, which is no example's
        scalars[trainer.step] = float(loss.detach())
        examples += len(batch["paths"])
        return loss

    trainer.compute_loss = noted  # type: ignore[method-assign]
    if task.resume_from is not None:
        trainer.load(task.resume_from)
    if task.config is None:
        trainer.train()
    else:
        with log_losses(trainer, task.config):
            trainer.train()
    return Trained(trainer.model.state_dict(), scalars, examples)
