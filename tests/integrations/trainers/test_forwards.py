from __future__ import annotations

import pytest
import torch

from loss_logging.integrations.trainers.forwards import forwards_of


class Model(torch.nn.Module):
    """A layer that takes labels, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.layer(x)


def test_forwards_with_a_graph_are_seen_with_their_labels() -> None:
    """In their order, without those of an evaluation, and without changing what comes out."""
    model, x, labels = Model(), torch.ones(1, 2), torch.tensor([1])
    alone = model(x)
    with forwards_of(model) as seen:
        first = model(x, labels=labels)
        with torch.no_grad():
            model(x)
        second = model(2 * x)
    model(x)
    assert [forward.outputs is out for forward, out in zip(seen, (first, second), strict=True)] == [True, True]
    assert (seen[0].labels is labels, seen[1].labels) == (True, None)
    assert torch.equal(first, alone)
    assert not model._forward_hooks


def test_a_model_is_as_before_after_an_error() -> None:
    """Also where the block ends with an exception; what is no module has nothing to watch."""
    model = Model()
    with pytest.raises(ZeroDivisionError), forwards_of(model):
        raise ZeroDivisionError
    assert not model._forward_hooks
    with forwards_of(lambda x: x) as seen:
        assert seen == []
