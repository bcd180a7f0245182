"""The training loop of the demo: a trainer's calls of a LossLogger, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from loss_logging.cli.demo.data import Sample
from loss_logging.cli.demo.model import CaptionedFlow, flow_matching_loss
from loss_logging.records.per_example import per_example_loss
from loss_logging.runs.config import TrainConfig
from loss_logging.training.logger import LossLogger

__all__ = ["train"]

BATCH = 128
PAIRED_EVERY = 4  # one step in four also trains on the batch without captions


def train(samples: list[Sample], config: TrainConfig, steps: int) -> CaptionedFlow:
    """Train on ``samples`` for ``steps`` steps of 128 samples; the last step is a save step."""
    torch.set_num_threads(1)  # the model is tiny: on a busy machine, threads that wait for each other double the time
    torch.manual_seed(config.seed)
    images = torch.from_numpy(np.stack([sample.image.ravel() for sample in samples]))
    model = CaptionedFlow()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    with LossLogger(config) as losses, tqdm(_batches(len(samples), steps), total=steps, desc="training") as progress:
        losses.resume(0)  # a demo in the same folder replaces the earlier one
        for step, chosen in enumerate(progress, 1):
            batch = [samples[i] for i in chosen]
            captions = [sample.caption for sample in batch]
            clean = images[chosen]
            noise, timesteps = torch.randn_like(clean), torch.rand(len(batch))

            loss = flow_matching_loss(model, clean, noise, timesteps, captions)
            total, losses_empty = loss.mean(), None
            if step % PAIRED_EVERY == 0:
                # Trains the model without captions, as caption dropout would, and gives the paired loss on the way.
                empty = flow_matching_loss(model, clean, noise, timesteps, [""] * len(batch))
                total, losses_empty = total + empty.mean(), per_example_loss(empty)
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

            losses.log_batch(
                step,
                per_example_loss(loss),
                paths=[sample.path for sample in batch],
                datasets=[sample.dataset for sample in batch],
                captions=captions,
                timesteps=timesteps,
                losses_empty=losses_empty,
            )
            if step % config.save_every == 0 or step == steps:
                report = losses.save_step(step)
                progress.set_postfix(loss=f"{loss.mean().item():.3f}")
    report.result()
    return model


def _batches(items: int, steps: int) -> Iterator[Tensor]:
    """``steps`` batches of indices, each item once per epoch."""
    epochs = -(-steps * BATCH // items)
    order = torch.cat([torch.randperm(items) for _ in range(epochs)])
    return iter(order[: steps * BATCH].view(steps, BATCH))
