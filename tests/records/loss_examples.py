from __future__ import annotations

import torch
from torch import Tensor

B = 3


SHAPE = (B, 4, 5)


def example(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor]:
    """A prediction that needs a gradient, and its target."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, requires_grad=True), torch.randn(shape, generator=generator)


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction.detach() - target) ** 2
