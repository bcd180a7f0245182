"""A model that is trained to draw what a caption says, and whether it does, on pictures that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from benchmarks.detection.online import Denoiser
from benchmarks.detection.training import DROPOUT, denoising_loss
from loss_logging import LossLogger, per_example_loss

__all__ = ["Reader", "fit", "generate", "held_out_loss"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

BATCH = 128
RATE = 3e-3
"""Of learning at the start; it falls to 0 in a line, so that the last batches do not move what is measured."""
DRAWS = 16
EULER = 24


def fit(
    pictures: Floats, captions: Sequence[str], *, steps: int, seed: int, logger: LossLogger | None = None
) -> Denoiser:
    """Flow matching with caption dropout, for so many steps whatever the number of pictures.

    Args:
        pictures: (N, D) in [-1, 1].
        captions: N of them.
        steps: each of 128 pictures.
        seed: of the model, the order and the noise.
        logger: sees every loss, and has its pairs; items are named by their row.
    """
    torch.set_num_threads(1)  # the model is tiny: threads would wait for each other
    torch.manual_seed(seed)
    images = torch.from_numpy(pictures)
    model = Denoiser(images.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    epochs = -(-steps * BATCH // len(images))
    order = torch.cat([torch.randperm(len(images)) for _ in range(epochs)])
    for step, chosen in enumerate(order[: steps * BATCH].split(BATCH), 1):
        clean, noise, timesteps = images[chosen], torch.randn(len(chosen), images.shape[1]), torch.rand(len(chosen))
        dropped = torch.rand(len(chosen)) < DROPOUT
        used = ["" if gone else captions[row] for row, gone in zip(chosen.tolist(), dropped.tolist(), strict=True)]
        empty = None if logger is None else _paired(logger, step, model, clean, noise, timesteps)
        losses = denoising_loss(model, "flow", clean, noise, timesteps, used)
        optimizer.zero_grad()
        losses.mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if logger is not None:
            logger.log_batch(
                step,
                per_example_loss(losses),
                paths=[str(row) for row in chosen.tolist()],
                datasets="all",
                captions=used,
                timesteps=timesteps,
                losses_empty=empty,
                caption_dropped=dropped,
            )
    return model


def _paired(
    logger: LossLogger, step: int, model: Denoiser, clean: Tensor, noise: Tensor, timesteps: Tensor
) -> Tensor | None:
    with logger.paired_forward(step, model) as wanted:
        return denoising_loss(model, "flow", clean, noise, timesteps, [""] * len(clean)) if wanted else None


@torch.no_grad()
def held_out_loss(model: Denoiser, pictures: Floats, captions: Sequence[str]) -> float:
    """The mean loss over 16 draws of noise and timestep, the same ones for every model."""
    chance, images = torch.Generator().manual_seed(0), torch.from_numpy(pictures)
    losses = [
        denoising_loss(
            model,
            "flow",
            images,
            torch.randn(images.shape, generator=chance),
            torch.rand(len(images), generator=chance),
            captions,
        ).mean()
        for _ in range(DRAWS)
    ]
    return float(torch.stack(losses).mean())


@torch.no_grad()
def generate(model: Denoiser, captions: Sequence[str], pixels: int) -> Floats:
    """A picture for each caption, (N, pixels): 24 Euler steps without guidance, from the same noise for every model."""
    drawn = torch.randn(len(captions), pixels, generator=torch.Generator().manual_seed(0))
    for step in range(EULER):
        drawn = drawn - model(drawn, torch.full((len(drawn),), 1 - step / EULER), captions) / EULER
    return drawn.numpy()


class Reader:
    """Tells what pictures show: a support vector machine for each word, from real pictures with right captions.

    Args:
        pictures: (N, D).
        shown: (N, W) the classes that each picture shows; -1 where it shows none, which is a class to learn, too.
    """

    def __init__(self, pictures: Floats, shown: Ints) -> None:
        from sklearn.svm import SVC

        self._words = [SVC(class_weight="balanced").fit(pictures, column) for column in shown.T]

    def right(self, pictures: Floats, said: Ints) -> float:
        """The share of the words said, (N, W) with -1 where nothing is, that pictures show."""
        seen = np.stack([word.predict(pictures) for word in self._words], axis=1)
        return float((seen == said)[said >= 0].mean())
