"""What is drawn for an item or a step by its name alone, so that every process, order and repetition draws the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from loss_logging.support.chance import hash_of, uniform_of

if TYPE_CHECKING:
    import torch

__all__ = ["Draw"]


class Draw:
    """One draw of a timestep and noise for every item, the same for each caption, batching, order, worker and engine.

    A compute function that has a ``draw`` parameter is called once for each.

    Args:
        seed: another seed draws other numbers.
        index: which draw this is, from 0.
        count: how many there are.

    Example:
        >>> draw = Draw(seed=0, index=1, count=4)
        >>> draw.timesteps(["a.png", "b.png"]).tolist() == draw.timesteps(["b.png", "a.png"]).tolist()[::-1]
        True
        >>> 0.25 <= float(draw.timesteps(["a.png"])[0]) < 0.5
        True
    """

    def __init__(self, seed: int, index: int, count: int) -> None:
        self.seed = seed
        self.index = index
        self.count = count

    def timesteps(self, paths: Sequence[str]) -> torch.Tensor:
        """One timestep per item, (B,) float32 in [0, 1): draw i of n lies in [i/n, (i+1)/n)."""
        import torch

        inside = [uniform_of("timestep", self.seed, self.index, str(path)) for path in paths]
        stratified = torch.tensor([(self.index + u) / self.count for u in inside], dtype=torch.float32)
        return stratified.clamp_(max=float(np.nextafter(np.float32(1), np.float32(0))))

    def noise(self, shape: Sequence[int], paths: Sequence[str]) -> torch.Tensor:
        """Standard normal noise, (B, *shape) float32 on the CPU."""
        import torch

        generator = torch.Generator()
        noise = torch.empty(len(paths), *shape)
        for row, path in zip(noise, paths, strict=True):
            row.normal_(generator=generator.manual_seed(hash_of("noise", self.seed, self.index, str(path)) >> 1))
        return noise
