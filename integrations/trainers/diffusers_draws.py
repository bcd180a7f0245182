"""Several captions and several draws of one batch in one forward of a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loss_logging.integrations.trainers.diffusers_captions import Encoded

if TYPE_CHECKING:
    import torch

__all__ = ["Asked", "Compared", "DrawLosses", "Noised", "joined"]

_MOST_PIXELS = 65_536
"""Of latents in a forward with several draws: four images of 1024 pixels a side, 16 of 512. A larger batch fills a
device by itself, and the memory that its owner has counted on."""


@dataclass(frozen=True)
class Noised:
    """A batch at one draw, before the model has seen a caption: what every caption of it shares.

    ``noisy`` and ``target`` are (B, C, h, w) float32, ``timesteps`` is (B,); ``conditions`` is what the denoiser is
    told about each image.
    """

    noisy: torch.Tensor
    target: torch.Tensor
    timesteps: torch.Tensor
    conditions: Encoded

    def rows(self, index: torch.Tensor) -> Noised:
        """The images at these places, which may come several times."""
        conditions = {name: values[index.to(values.device)] for name, values in self.conditions.items()}
        return Noised(self.noisy[index], self.target[index], self.timesteps[index], conditions)


def joined(parts: Sequence[Noised]) -> Noised:
    """One after the other."""
    import torch

    return Noised(
        torch.cat([part.noisy for part in parts]),
        torch.cat([part.target for part in parts]),
        torch.cat([part.timesteps for part in parts]),
        {name: torch.cat([part.conditions[name] for part in parts]) for name in parts[0].conditions},
    )


@dataclass(frozen=True)
class DrawLosses:
    """Losses of a batch at one draw, (B,) each: own captions, the empty one, the mean over rivals; and timesteps."""

    own: torch.Tensor
    empty: torch.Tensor | None
    rival: torch.Tensor | None
    timesteps: torch.Tensor


class Compared:
    """The captions that each image of a batch is computed with: its own, then the empty one, then its rivals.

    Args:
        captions: the own, one for each image.
        empty: whether to compare with the empty caption.
        rivals: captions of others for each image; None where there are none at all.
    """

    def __init__(self, captions: Sequence[str], *, empty: bool, rivals: Sequence[Sequence[str]] | None) -> None:
        own = range(len(captions))
        self._rivals = [row for row, found in enumerate(rivals or ()) for _ in found]
        self._counts = None if rivals is None else [len(found) for found in rivals]
        self._empty = empty
        self._images = len(captions)
        self.rows = [*own, *(own if empty else ()), *self._rivals]
        """The image of each caption."""
        others = [other for found in rivals or () for other in found]
        self.captions = [*captions, *([""] * len(captions) if empty else ()), *others]

    def split(self, losses: torch.Tensor, timesteps: torch.Tensor) -> DrawLosses:
        """From the loss of each caption to those of each image."""
        import torch

        own, rest = losses[: self._images], losses[self._images :]
        empty, others = (rest[: self._images], rest[self._images :]) if self._empty else (None, rest)
        if self._counts is None:
            return DrawLosses(own, empty, None, timesteps)
        index = torch.tensor(self._rivals, device=own.device, dtype=torch.long)
        total = torch.zeros_like(own).index_add_(0, index, others)
        return DrawLosses(own, empty, total / torch.tensor(self._counts, device=own.device), timesteps)  # 0 / 0 is NaN


@dataclass(frozen=True)
class Asked:
    """What losses are asked of, but for the draw."""

    latents: torch.Tensor
    conditions: Mapping[str, torch.Tensor]
    paths: list[str]
    captions: list[str]
    rivals: list[list[str]] | None
    seed: int
    count: int

    def is_same(self, other: Asked | None) -> bool:
        """Whether all draws of both are alike."""
        return (
            other is not None
            and self.latents is other.latents  # a batch whose pixels changed is encoded again
            and all(bool((value == other.conditions[name]).all()) for name, value in self.conditions.items())
            and (self.paths, self.captions, self.rivals, self.seed, self.count)
            == (other.paths, other.captions, other.rivals, other.seed, other.count)
        )

    def draws_together(self, rows: int) -> int:
        """How many draws of so many rows each fit into one forward."""
        height, width = self.latents.shape[-2:]
        return max(1, _MOST_PIXELS // (rows * height * width))
