from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.integrations.trainers.ai_toolkit.row_losses import RowLosses


@given(st.integers(2, 5), st.sampled_from([(4, 3, 3), (4, 2, 3, 3)]), st.booleans())
def test_each_row_has_its_loss_before_and_after_the_weights(rows: int, shape: tuple[int, ...], keyword: bool) -> None:
    """Of pictures and of videos, however mean is called; what comes out of the training's own mean is untouched."""
    loss = torch.rand(rows, *shape, requires_grad=True)
    weights = torch.rand(rows)
    dims = list(range(1, loss.dim()))
    with RowLosses(rows) as seen:
        per_row = torch.mean(loss, dim=dims) if keyword else loss.mean(dims)
        total = (per_row * weights).mean()
        (total + loss.mean()).backward()
    assert seen.losses is not None
    assert seen.weighted is not None
    assert torch.equal(seen.losses, loss.detach().mean(dims))
    assert torch.equal(seen.weighted.mean(), total.detach())
    assert not seen.losses.requires_grad


def test_other_means_are_no_losses() -> None:
    """Over another dimension, of another number of rows, or a mean that comes before there are losses."""
    with RowLosses(3) as seen:
        torch.rand(3, 4, 2).mean(0)
        torch.rand(2, 4, 2).mean([1, 2])
        torch.rand(3).mean()
    assert (seen.losses, seen.weighted) == (None, None)
