from __future__ import annotations

import torch

from loss_logging.records.dataflow.tensor_state import (
    Memory,
    address,
    has_unseen_scalar,
    is_parameter,
    is_transformed,
    unwrapped,
    version,
)


def test_writing_changes_the_version_and_views_share_the_memory() -> None:
    """Of an ordinary tensor; one of inference mode has no versions, and that is no error."""
    tensor = torch.zeros(4)
    before = version(tensor)
    tensor.add_(1)
    assert version(tensor) > before
    assert address(tensor[2:]) == address(tensor) != address(tensor.clone())
    with torch.inference_mode():
        assert version(torch.zeros(2)) == 0
    assert is_parameter(torch.nn.Parameter(tensor))
    assert not is_parameter(tensor)


def test_memory_that_is_free_again_has_no_past() -> None:
    """Also where a storage lives on and has given its memory back, as FSDP's do; a view has the same past."""
    memory = Memory()
    again: list[torch.Tensor] = []
    for is_resized in (False, True):
        tensor = torch.zeros(1 << 12)
        where = address(tensor)
        memory.note(tensor, 3)
        assert memory.time_of(tensor) == memory.time_of(tensor[2:]) == 3
        if is_resized:
            tensor.untyped_storage().resize_(0)
        else:
            del tensor
        again += [torch.zeros(1 << 12) for _ in range(8)]
        (new,) = [one for one in again if address(one) == where] or [torch.zeros(1)]
        assert memory.time_of(new) == -1
    assert len({address(one) for one in again}) == len(again)


def test_the_tensor_below_a_transform_is_found() -> None:
    """With the dimension that vmap maps, which is -1 where two of them do."""
    seen: list[tuple[bool, int | None, int]] = []

    def see(x: torch.Tensor) -> torch.Tensor:
        inner, dim = unwrapped(x)
        seen.append((is_transformed(x), dim, inner.dim()))
        return x

    tensor = torch.zeros(2, 3)
    torch.vmap(see)(tensor)
    torch.vmap(torch.vmap(see))(tensor)
    assert seen == [(True, 0, 2), (True, -1, 2)]
    assert unwrapped(tensor) == (tensor, None)
    assert not is_transformed(tensor)


class TwoScalars(torch.autograd.Function):
    """Code that no mode sees, which makes a loss and a metric."""

    @staticmethod
    def forward(ctx, x):
        return x.sum(), x.mean()

    @staticmethod
    def backward(ctx, grad, other):
        return torch.ones(3) * grad + other / 3


def test_a_scalar_beside_what_was_returned_is_seen() -> None:
    """One that nobody looks at may be the loss; a chain of ordinary calls makes none."""
    loss, _metric = TwoScalars.apply(torch.ones(3, requires_grad=True))
    assert has_unseen_scalar(loss)
    assert has_unseen_scalar(loss * 2)
    assert not has_unseen_scalar(torch.ones(3, requires_grad=True).sum() * 2)
