"""A small captioned flow-matching model."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

__all__ = ["CaptionedFlow", "flow_matching_loss"]

BUCKETS, EMPTY = 1024, 0


class CaptionedFlow(nn.Module):
    """Predicts the velocity of 8 x 8 images from the noisy image (B, 64), the timestep (B,) and the captions.

    A caption is the mean of its words' embeddings, which are hashed into buckets; the empty caption has its own bucket.
    """

    def __init__(self, width: int = 256, text_width: int = 64) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, text_width, mode="mean")
        self.condition = nn.Sequential(nn.Linear(text_width + 16, width), nn.SiLU(), nn.Linear(width, 3 * width))
        self.enter = nn.Linear(64, width)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU()) for _ in range(3)
        )
        self.leave = nn.Linear(width, 64)

    def forward(self, noisy: Tensor, timesteps: Tensor, captions: Sequence[str]) -> Tensor:
        frequencies = torch.pi * 2.0 ** torch.arange(8)
        angles = timesteps[:, None] * frequencies
        condition = self.condition(torch.cat([self._embed(captions), angles.sin(), angles.cos()], dim=1))
        hidden: Tensor = self.enter(noisy)
        for layer, shift in zip(self.layers, condition.chunk(3, dim=1), strict=True):
            hidden = hidden + layer(hidden + shift)
        velocity: Tensor = self.leave(hidden)
        return velocity

    def _embed(self, captions: Sequence[str]) -> Tensor:
        bags = [_buckets(caption) or (EMPTY,) for caption in captions]
        offsets = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        embedded: Tensor = self.words(torch.tensor([bucket for bag in bags for bucket in bag]), offsets)
        return embedded


@lru_cache(maxsize=8_192)
def _buckets(caption: str) -> tuple[int, ...]:
    words = re.findall(r"\w+", caption.lower())[:77]
    return tuple(1 + zlib.crc32(word.encode()) % (BUCKETS - 1) for word in words)


def flow_matching_loss(
    model: CaptionedFlow, images: Tensor, noise: Tensor, timesteps: Tensor, captions: Sequence[str]
) -> Tensor:
    """Unreduced loss (B, 64) of the velocity ``noise - images`` at ``(1 - t) * images + t * noise``."""
    t = timesteps[:, None]
    velocity = model((1 - t) * images + t * noise, timesteps, captions)
    return nn.functional.mse_loss(velocity, noise - images, reduction="none")
