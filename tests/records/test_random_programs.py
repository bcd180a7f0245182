"""Random programs and chains of torch calls: losses are None, or they add up and are of one example each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from helpers import examples
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from loss_examples import B
from torch import Tensor

from loss_logging import capture_per_example_loss

# Random programs. Values are (B, ...) tensors, anything else, and scalars; the last scalar is "returned".
Values = list[Tensor]
Program = list[tuple[str, int, int]]
STEPS: dict[str, Callable[[Tensor, Tensor], Tensor | float]] = {
    "mul": lambda a, b: a * b if a.shape == b.shape else a * b.detach() if b.dim() == 0 else a * 2,
    "sub": lambda a, b: a - b if a.shape == b.shape or b.dim() == 0 else a - 1,
    "half": lambda a, b: a / 2,
    "iadd": lambda a, b: a.clone().add_(b) if a.shape == b.shape or b.dim() == 0 else a,
    "imul_alias": lambda a, b: a.detach().mul_(2),
    "square": lambda a, b: a.square(),
    "mean": lambda a, b: a.mean(),
    "sum": lambda a, b: a.sum(),
    "mean_rest": lambda a, b: a.mean(tuple(range(1, a.dim()))) if a.dim() > 1 else a,
    "mean_first": lambda a, b: a.mean(0) if a.dim() else a,
    "max": lambda a, b: a.max(),
    "std": lambda a, b: a.std(),
    "swap": lambda a, b: a.transpose(0, -1) if a.dim() else a,
    "flatten": lambda a, b: a.flatten(),
    "reshape": lambda a, b: a.reshape(B, -1) if a.numel() % B == 0 else a,
    "row": lambda a, b: a[0] if a.dim() else a,
    "flip": lambda a, b: a.flip(0) if a.dim() else a,
    "repeat": lambda a, b: a.repeat(B) if a.dim() == 0 else a,
    "stack": lambda a, b: torch.stack([a, b, a]) if a.shape == b.shape else a,
    "chunk": lambda a, b: torch.cat([a, a]).chunk(2)[1] if a.dim() else a,
    "mse": lambda a, b: F.mse_loss(a, b) if a.shape == b.shape else F.mse_loss(a, torch.zeros_like(a)),
    "l1_sum": lambda a, b: F.l1_loss(a, torch.zeros_like(a), reduction="sum"),
    "detach": lambda a, b: a.detach(),
    "item": lambda a, b: a.item() if a.dim() == 0 else a,
    "double": lambda a, b: a.double(),
}
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9
)


def run(program: Program, start: Values, keep: bool, scalars: bool = True) -> tuple[Tensor, Values]:
    """Apply each step to two of the last values, counted from the newest; the newest tensor is returned as a scalar.

    Without ``scalars`` the second is never a scalar.
    """
    values = list(start)
    for name, first, second in program:
        seconds = [value for value in values if scalars or value.dim() > 0]
        result = STEPS[name](values[-1 - first % len(values)], seconds[-1 - second % len(seconds)])
        if isinstance(result, Tensor):
            values.append(result)
    scalar = values[-1] if values[-1].dim() == 0 else values[-1].mean()
    return scalar, values if keep else []


def runs(program: Program, start: Values, backward: bool) -> Tensor:
    """The program's scalar without capture; programs that torch itself refuses are no examples."""
    try:
        scalar, _ = run(program, [value.detach().clone().requires_grad_(value.requires_grad) for value in start], False)
        if backward and scalar.requires_grad:
            scalar.backward()
    except RuntimeError:
        reject()
    return scalar


@settings(max_examples=examples(600), deadline=None)
@given(PROGRAMS, st.booleans(), st.booleans(), st.booleans())
@pytest.mark.filterwarnings("ignore:std\\(\\)", "ignore:Converting a tensor with requires_grad")
def test_random_programs_are_none_or_add_up(program: Program, keep: bool, grad: bool, backward: bool) -> None:
    """Whatever the code computes, with other scalars left alive or not, losses is None or its mean is the scalar."""
    start = [torch.linspace(-1, 2, 36).view(B, 3, 4).requires_grad_(grad), torch.rand(B, 3, 4), torch.rand(B, 5)]
    plain = runs(program, start, backward)
    with capture_per_example_loss(B) as captured:
        scalar, kept = run(program, start, keep)
        if backward and scalar.requires_grad:
            scalar.backward()
    assert torch.allclose(plain, scalar, rtol=0, atol=0, equal_nan=True)
    if captured.losses is not None and scalar.requires_grad >= any(v.requires_grad for v in kept if v.numel() == 1):
        torch.testing.assert_close(
            captured.losses.mean(), scalar.detach().float(), rtol=1e-4, atol=1e-5, equal_nan=True
        )
    if captured.check(scalar):
        assert captured.losses is not None
        torch.testing.assert_close(
            captured.losses.mean(), scalar.detach().float(), rtol=1e-4, atol=1e-5, equal_nan=True
        )


@settings(max_examples=examples(300), deadline=None)
@given(PROGRAMS, st.integers(0, B - 1))
@pytest.mark.filterwarnings("ignore:std\\(\\)", "ignore:Converting a tensor with requires_grad")
def test_random_programs_attribute_losses_to_examples(program: Program, changed: int) -> None:
    """Changing one example changes the losses of no other, but for what the limits in the docstring name."""
    steps = {name for name, _, _ in program}
    if steps & {"mean_first", "stack", "std", "max", "repeat", "reshape"} or {"swap", "row"} <= steps:
        return  # rows made of several examples, or found again at another place with the batch's length
    inputs = [torch.linspace(-1, 2, 36).view(B, 3, 4), torch.rand(B, 3, 4), torch.rand(B, 5)]
    found = []
    for delta in (0.0, 0.7):
        runs(program, inputs, backward=False)
        moved = [tensor.clone() for tensor in inputs]
        for tensor in moved:
            tensor[changed] += delta
        with capture_per_example_loss(B) as captured:
            scalar, _ = run(program, moved, keep=False, scalars=False)
        captured.check(scalar)
        found.append(captured.losses)
    if found[0] is not None and found[1] is not None:
        others = [i for i in range(B) if i != changed]
        torch.testing.assert_close(found[0][others], found[1][others], equal_nan=True)


# Random chains of torch calls, against the truth by perturbation: row i changes with example i alone.
Step = Callable[[Tensor, Tensor], Tensor]
CHAIN: dict[str, Step] = {
    "square": lambda a, b: a.square(),
    "sum of two": lambda a, b: a + b,
    "product of two": lambda a, b: a * b,
    "product with a column": lambda a, b: a * b.unsqueeze(-1),
    "sigmoid": lambda a, b: a.sigmoid(),
    "flipud": lambda a, b: torch.flipud(a),
    "flip": lambda a, b: a.flip(-1),
    "msort": lambda a, b: torch.msort(a),
    "sort": lambda a, b: a.sort(-1)[0],
    "take": lambda a, b: a.take(torch.arange(a.numel() - 1, -1, -1)),
    "transpose": lambda a, b: a.transpose(0, -1),
    "permute": lambda a, b: a.permute(*reversed(range(a.dim()))),
    "flatten": lambda a, b: a.flatten(),
    "flatten two": lambda a, b: a.flatten(0, 1),
    "rows of two": lambda a, b: a.reshape(2, -1),
    "rows of three": lambda a, b: a.reshape(3, -1),
    "columns": lambda a, b: a.reshape(-1, 3),
    "unsqueeze": lambda a, b: a.unsqueeze(0),
    "squeeze": lambda a, b: a[:1].squeeze(0),
    "first": lambda a, b: a[0],
    "first column": lambda a, b: a[:, 0],
    "every second": lambda a, b: a[::2],
    "reversed": lambda a, b: a[torch.arange(a.shape[0] - 1, -1, -1)],
    "a list": lambda a, b: a[[1, 0]],
    "in their place": lambda a, b: a[torch.arange(a.shape[0]), 0],
    "mask": lambda a, b: a[a > 0],
    "topk": lambda a, b: a.flatten().topk(3)[0],
    "cumsum": lambda a, b: a.cumsum(0),
    "mean": lambda a, b: a.mean(),
    "sum": lambda a, b: a.sum(),
    "mean of the batch": lambda a, b: a.mean(0),
    "mean of the last": lambda a, b: a.mean(-1),
    "largest": lambda a, b: a.amax(),
    "norm": lambda a, b: a.norm(dim=-1),
    "cat": lambda a, b: torch.cat([a, b]),
    "cat of the last": lambda a, b: torch.cat([a, b], -1),
    "cat in another order": lambda a, b: torch.cat([a[1:], a[:1]]),
    "cat in this order": lambda a, b: torch.cat([a[:1], a[1:]]),
    "stack": lambda a, b: torch.stack([a, b]),
    "stack of the last": lambda a, b: torch.stack([a, b], -1),
    "stack of means": lambda a, b: torch.stack([row.mean() for row in a]),
    "stack of norms": lambda a, b: torch.stack([(x - y).norm() for x, y in zip(a, b, strict=False)]),
    "stack of means, reversed": lambda a, b: torch.stack([row.mean() for row in a.flip(0)]),
    "stack of two scalars": lambda a, b: torch.stack([a.mean(), b.norm()]),
    "repeat": lambda a, b: a.repeat(2, *[1] * (a.dim() - 1)),
    "repeat_interleave": lambda a, b: a.repeat_interleave(2, 0),
    "chunk": lambda a, b: a.chunk(2)[1],
    "expand": lambda a, b: a.expand(3, *a.shape),
    "softmax": lambda a, b: a.softmax(-1),
    "softmax of the batch": lambda a, b: a.softmax(0),
    "layer_norm": lambda a, b: F.layer_norm(a, a.shape[-1:]),
    "roll": lambda a, b: a.roll(1, 0),
    "roll within": lambda a, b: a.roll(1, -1),
    "diagonal": lambda a, b: a.diagonal(),
    "einsum": lambda a, b: torch.einsum("ab->ba", a),
    "einsum of two": lambda a, b: torch.einsum("ab,ab->a", a, b),
    "similarities": lambda a, b: a @ b.T,
    "linear": lambda a, b: F.linear(a, torch.ones(3, a.shape[-1])),
    "conv1d": lambda a, b: F.conv1d(a, torch.ones(3, a.shape[1], 1)),
    "attention": lambda a, b: F.scaled_dot_product_attention(a, a, a),
    "gru": lambda a, b: a.cumsum(-1) + a.logcumsumexp(-1),
    "vmap": lambda a, b: torch.vmap(lambda row: row.square().sum())(a),
    "vmap along the last": lambda a, b: torch.vmap(lambda row: row.sum(), in_dims=-1)(a),
    "gather": lambda a, b: a.gather(-1, torch.zeros_like(a[..., :1], dtype=torch.long)),
    "index_select": lambda a, b: a.index_select(0, torch.tensor([1, 0])),
    "mse": lambda a, b: F.mse_loss(a, b),
    "l1, unreduced": lambda a, b: F.l1_loss(a, b, reduction="none"),
    "binary": lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid()),
    "cross entropy": lambda a, b: F.cross_entropy(a, b.softmax(1)),
    "detach": lambda a, b: a.detach(),
    "copy into": lambda a, b: torch.zeros_like(a).copy_(b),
    "copy into a view": lambda a, b: _copied_into_a_view(a, b),
    "zeros and": lambda a, b: torch.zeros(()) + a,
    "times its mean": lambda a, b: a * a.mean(),
    "quantile": lambda a, b: a.quantile(0.5, dim=-1),
    "as_strided": lambda a, b: a.as_strided((3,), (1,)),
    "triangle": lambda a, b: a.tril(),
    "fft": lambda a, b: torch.fft.rfft(a).abs(),
    "unique": lambda a, b: a.unique(),
    "where": lambda a, b: torch.where(a > 0, a, b),
}


def _copied_into_a_view(a: Tensor, b: Tensor) -> Tensor:
    copy = a.clone()
    copy[0].copy_(b[-1])
    return copy


def chain(names: list[tuple[str, int, int]], start: Values) -> Tensor:
    """Each step on two of the last values; one that torch refuses is left out."""
    values = list(start)
    for name, first, second in names:
        try:
            result = CHAIN[name](values[-1 - first % len(values)], values[-1 - second % len(values)])
        except (RuntimeError, IndexError, ValueError, TypeError):
            continue
        if result.is_floating_point() and 0 < result.numel() < 5000:
            values.append(result)
    return values[-1] if values[-1].dim() == 0 else values[-1].mean()


@settings(max_examples=examples(250), deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(CHAIN)), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=6),
    st.sampled_from([1, 2, 3]),
    st.integers(0, 2),
)
@pytest.mark.filterwarnings("ignore")
def test_random_chains_against_perturbation(names: list[tuple[str, int, int]], size: int, example_: int) -> None:
    """Whatever torch calls follow each other: the scalar is untouched, and rows add up and are of one example each."""
    shapes = [(size, size), (size, 4), (size, 2, size), (size,)]
    start = [torch.randn(s, generator=torch.Generator().manual_seed(i)) for i, s in enumerate(shapes)]
    other = [tensor.clone() for tensor in start]
    for tensor in other:
        tensor[example_ % size] *= 1.3
    found = []
    for inputs in (start, other):
        plain = chain(names, [tensor.clone().requires_grad_() for tensor in inputs])
        with capture_per_example_loss(size) as captured:
            scalar = chain(names, [tensor.clone().requires_grad_() for tensor in inputs])
        assert torch.equal(plain, scalar) or plain.isnan()
        captured.check(scalar)
        assert "failed" not in str(captured.reason)
        if captured.losses is None:
            return
        torch.testing.assert_close(
            captured.losses.mean(), scalar.detach(), rtol=1e-3, atol=1e-4, equal_nan=True, check_dtype=False
        )
        found.append(captured.losses)
    same = [i for i in range(size) if i != example_ % size]
    torch.testing.assert_close(found[0][same], found[1][same], rtol=1e-3, atol=1e-5, equal_nan=True)
