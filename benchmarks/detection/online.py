"""A training run with three captions: the item's, the empty one and a rival's, and what their losses say of each item.

Where the rival's loss is measured beside the empty one's, as here, both kinds of pair are there from the same steps, so
that their mixture can be made up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.detection.sets import CaptionedSet
from benchmarks.detection.training import BATCH, DROPOUT, Objective, denoising_loss
from loss_logging import LossLogger
from loss_logging.cli.demo.model import CaptionedFlow
from loss_logging.evidence.dropped import dropped_evidence
from loss_logging.evidence.losses import LossEvidence, pooled

__all__ = ["Online", "train_online"]


class Denoiser(CaptionedFlow):
    """`CaptionedFlow` for pictures of another size."""

    def __init__(self, pixels: int, width: int = 256) -> None:
        super().__init__(width)
        self.enter, self.leave = nn.Linear(pixels, width), nn.Linear(width, pixels)


@dataclass
class Online:
    """The records of a run, one row for each visit of an item: (visits, N); NaN where there is no pair."""

    loss: np.ndarray[Any, Any]
    empty: np.ndarray[Any, Any]
    rival: np.ndarray[Any, Any]
    dropped: np.ndarray[Any, Any]
    timestep: np.ndarray[Any, Any]

    def against(self, other: np.ndarray[Any, Any], visits: slice = slice(None)) -> LossEvidence:
        """The mismatch with another caption, over some visits."""
        with np.errstate(invalid="ignore"):
            mismatch = ((self.loss - other) / ((self.loss + other) / 2))[visits]
        mismatch[self.dropped[visits]] = np.nan
        n = np.isfinite(mismatch).sum(0)
        mean = np.where(n > 0, np.nansum(mismatch, 0) / np.maximum(n, 1), np.nan)
        spread = np.sqrt(np.nansum((mismatch - mean) ** 2, 0) / np.maximum(n - 1, 1) / np.maximum(n, 1))
        return LossEvidence(mean, n, np.where(n > 1, spread, np.nan))

    def evidence(self) -> dict[str, LossEvidence]:
        """By the caption that items were compared with; one forward more each, but for what was dropped: none."""
        halves = [self.against(self.empty, slice(0, None, 2)), self.against(self.rival, slice(1, None, 2))]
        visits, items = self.loss.shape
        return {
            "empty": self.against(self.empty),
            "rival": self.against(self.rival),
            "half empty, half rival": pooled(halves),
            "rival, 25% of steps": self.against(self.rival, slice(0, None, 4)),
            "dropped captions": dropped_evidence(
                np.tile(np.arange(items), visits),
                self.loss.ravel(),
                self.dropped.ravel(),
                items=items,
                timestep=self.timestep.ravel(),
                step=np.repeat(np.arange(visits), items),
            ),
        }


def train_online(
    data: CaptionedSet,
    rivals: list[str],
    objective: Objective,
    epochs: int,
    seed: int,
    loggers: Sequence[LossLogger] = (),
) -> Online:
    """Train for so many epochs; every step pairs its captions with the empty one and with the rivals, (N,).

    Each logger gets of these what it asks for, by its own rivals, which are the same.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    images = torch.from_numpy(data.trained)
    model = Denoiser(images.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    columns = {name: np.full((epochs, len(images)), np.nan) for name in ("loss", "empty", "rival", "timestep")}
    dropped = np.zeros((epochs, len(images)), np.bool_)
    step = 0
    for epoch in range(epochs):
        for chosen in torch.randperm(len(images)).split(BATCH):
            batch, noise, timesteps = chosen.tolist(), torch.randn_like(images[chosen]), torch.rand(len(chosen))
            drop = (torch.rand(len(batch)) < DROPOUT).tolist()

            def loss(
                captions: list[str], chosen: Tensor = chosen, noise: Tensor = noise, at: Tensor = timesteps
            ) -> Any:
                return denoising_loss(model, objective, images[chosen], noise, at, captions)

            with torch.no_grad():
                columns["empty"][epoch, batch] = loss([""] * len(batch)).numpy()
                columns["rival"][epoch, batch] = loss([rivals[item] for item in batch]).numpy()
            own = loss(["" if gone else data.captions[item] for item, gone in zip(batch, drop, strict=True)])
            optimizer.zero_grad()
            own.mean().backward()
            optimizer.step()
            columns["loss"][epoch, batch] = own.detach().numpy()
            columns["timestep"][epoch, batch] = timesteps.numpy()
            dropped[epoch, batch] = drop
            step += 1
            for logger in loggers:
                with logger.paired_forward(step, model) as compared:
                    others = columns[compared or "empty"][epoch, batch]
                logger.log_batch(
                    step,
                    own,
                    paths=batch,
                    datasets=data.name,
                    captions=["" if gone else data.captions[item] for item, gone in zip(batch, drop, strict=True)],
                    timesteps=timesteps,
                    caption_dropped=drop,
                    losses_rival=others if compared else None,
                    rivals=(logger.rivals_of(batch) if compared == "rival" else [""] * len(batch))
                    if compared
                    else None,
                )
    for logger in loggers:
        logger.save_step(step).result()
    return Online(dropped=dropped, **columns)
