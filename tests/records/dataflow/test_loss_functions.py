from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from loss_examples import SHAPE, B, example
from torch import Tensor

from loss_logging import capture_per_example_loss


@pytest.mark.parametrize("around", [None, "cpu"])
@pytest.mark.parametrize("within", [False, True])
def test_l1_loss_keeps_its_weight(around: str | None, within: bool) -> None:
    """The block changes no l1_loss with weights; where another mode of torch's makes it another one, that stays."""
    prediction, target = example()
    weight = torch.rand(SHAPE)

    def run(block: bool) -> tuple[Tensor, Tensor]:
        contexts: list[Any] = [torch.device(around)] if around else []
        if block:
            contexts.insert(len(contexts) if within else 0, capture_per_example_loss(B))
        leaf = prediction.detach().clone().requires_grad_()
        with contextlib.ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            loss = F.l1_loss(leaf, target, weight=weight)
            also = torch.nn.L1Loss()(leaf, target)
        (loss + also).backward()
        assert leaf.grad is not None
        return loss.detach(), leaf.grad

    assert all(torch.equal(a, b) for a, b in zip(run(block=False), run(block=True), strict=True))


def test_l1_loss_keeps_its_weight_in_blocks_within_blocks() -> None:
    """Both blocks see the weighted loss."""
    prediction, target = example()
    weight = torch.rand(SHAPE)
    with capture_per_example_loss(B) as outer, capture_per_example_loss(B) as inner:
        loss = F.l1_loss(prediction, target, weight=weight)
    assert torch.equal(loss, F.l1_loss(prediction, target, weight=weight))
    assert outer.losses is not None
    assert inner.losses is not None
    assert torch.equal(outer.losses, inner.losses)
