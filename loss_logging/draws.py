"""What is drawn for an item or a step by its name alone, so that every process, order and repetition draws the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["Draw", "hash_of", "uniform_of"]


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


def uniform_of(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone.

    >>> round(uniform_of("sample", 0, "a.png"), 3), round(uniform_of("sample", 1, "a.png"), 3)
    (0.593, 0.867)
    """
    return (hash_of(*parts) >> 11) * 2.0**-53


def hash_of(*parts: object) -> int:
    """A number of 64 bits that depends on the parts alone."""
    text = repr(parts).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
