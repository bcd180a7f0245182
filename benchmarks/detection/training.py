"""The model that is trained, and its losses: what a trainer does with a LossLogger, and with evaluate_dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from benchmarks.detection.data import Digits
from loss_logging import LossLogger, SampleRecord, per_example_loss
from loss_logging.cli.demo.model import CaptionedFlow, flow_matching_loss
from loss_logging.evaluation.evaluate import Draw

__all__ = ["Objective", "evaluation", "train"]

Objective: TypeAlias = Literal["flow", "epsilon"]

BATCH = 64
DROPOUT = 0.1
"""Share of captions that training drops, so that the model knows the empty one; as in text-to-image training."""


def denoising_loss(
    model: CaptionedFlow,
    objective: Objective,
    images: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    captions: Sequence[str],
) -> Tensor:
    """Loss of each example, (B,): flow matching, or the noise under a cosine schedule (Nichol and Dhariwal, 2021)."""
    if objective == "flow":
        return per_example(flow_matching_loss(model, images, noise, timesteps, captions))
    angles = timesteps[:, None] * (torch.pi / 2)
    predicted = model(angles.cos() * images + angles.sin() * noise, timesteps, captions)
    return per_example(nn.functional.mse_loss(predicted, noise, reduction="none"))


def per_example(loss: Tensor) -> Tensor:
    """The mean over pixels: (B, 64) -> (B,)."""
    return loss.mean(1)


def train(
    digits: Digits, objective: Objective, save_at: Sequence[int], loggers: Sequence[LossLogger], seed: int
) -> Iterator[tuple[int, CaptionedFlow]]:
    """Train, and log every batch to each logger, paired on the steps that it asks for.

    Yields the epoch and the model at each epoch of ``save_at``.

    Args:
        digits: what to train on.
        objective: what the model predicts.
        save_at: ascending epochs; training ends with the last.
        loggers: each sees the same losses.
        seed: of the model, the order and the noise.
    """
    torch.set_num_threads(1)  # the model is tiny: threads would wait for each other
    torch.manual_seed(seed)
    model = CaptionedFlow()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    step = 0
    for epoch in range(1, save_at[-1] + 1):
        for chosen in torch.randperm(len(digits.paths)).split(BATCH):
            step += 1
            images, batch = digits.images[chosen], chosen.tolist()
            noise, timesteps = torch.randn_like(images), torch.rand(len(batch))
            dropped = torch.rand(len(batch)) < DROPOUT
            captions = ["" if drop else digits.captions[i] for i, drop in zip(batch, dropped.tolist(), strict=True)]
            empty: dict[LossLogger, Tensor] = {}
            for logger in loggers:
                with logger.paired_forward(step, model) as wanted:
                    if wanted:
                        empty[logger] = denoising_loss(model, objective, images, noise, timesteps, [""] * len(batch))
            losses = denoising_loss(model, objective, images, noise, timesteps, captions)
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            for logger in loggers:
                logger.log_batch(
                    step,
                    per_example_loss(losses),
                    paths=[digits.paths[i] for i in batch],
                    datasets="digits",
                    captions=captions,
                    timesteps=timesteps,
                    losses_empty=empty.get(logger),
                    caption_dropped=dropped,
                )
        if epoch in save_at:
            for logger in loggers:
                logger.save_step(step).result()
            yield epoch, model


def evaluation(model: CaptionedFlow, objective: Objective, digits: Digits) -> Callable[[Any, Draw], list[SampleRecord]]:
    """The compute function that evaluate_dataset is given."""
    index = {path: i for i, path in enumerate(digits.paths)}

    @torch.no_grad()
    def compute(batch: Any, draw: Draw) -> list[SampleRecord]:
        paths = batch["paths"]
        chosen = [index[path] for path in paths]
        captions = [digits.captions[i] for i in chosen]
        images, noise, timesteps = digits.images[chosen], draw.noise((64,), paths), draw.timesteps(paths)
        losses = denoising_loss(model, objective, images, noise, timesteps, captions)
        empty = denoising_loss(model, objective, images, noise, timesteps, [""] * len(paths))
        return [
            SampleRecord(*row[:4], timestep=row[4], loss_empty=row[5])
            for row in zip(
                paths,
                ["digits"] * len(paths),
                captions,
                losses.tolist(),
                timesteps.tolist(),
                empty.tolist(),
                strict=True,
            )
        ]

    return compute
