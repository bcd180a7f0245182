"""loss_logging/capture.py and loss_logging/dataflow.py"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor

from loss_logging import capture_per_example_loss

B = 3
SHAPE = (B, 4, 5)


def example(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor]:
    """A prediction that needs a gradient, and its target."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, requires_grad=True), torch.randn(shape, generator=generator)


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction.detach() - target) ** 2


WEIGHTS = torch.tensor([0.5, 1.0, 3.0])
ADDS_UP: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "F.mse_loss": (F.mse_loss, lambda p, t: squared(p, t).mean((1, 2))),
    "F.mse_loss by keyword": (
        lambda p, t: F.mse_loss(input=p.float(), target=t.float(), reduction="mean"),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "nn.L1Loss": (lambda p, t: torch.nn.L1Loss()(p, t), lambda p, t: (p.detach() - t).abs().mean((1, 2))),
    "F.smooth_l1_loss": (
        lambda p, t: F.smooth_l1_loss(p, t, beta=0.3),
        lambda p, t: F.smooth_l1_loss(p.detach(), t, beta=0.3, reduction="none").mean((1, 2)),
    ),
    "F.huber_loss": (
        lambda p, t: F.huber_loss(p, t, reduction="mean", delta=0.4),
        lambda p, t: F.huber_loss(p.detach(), t, reduction="none", delta=0.4).mean((1, 2)),
    ),
    "mean of all": (lambda p, t: ((p - t) ** 2).mean(), lambda p, t: squared(p, t).mean((1, 2))),
    "torch.mean, dim given": (
        lambda p, t: torch.mean((p - t) ** 2, dim=(0, 1, 2)),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "per example first": (
        lambda p, t: F.mse_loss(p, t, reduction="none").mean([1, 2]).mean(),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "list(range), weighted": (
        lambda p, t: (F.mse_loss(p, t, reduction="none").mean(dim=list(range(1, p.ndim))) * WEIGHTS).mean(),
        lambda p, t: squared(p, t).mean((1, 2)) * WEIGHTS,
    ),
    "sum over the batch size": (
        lambda p, t: F.mse_loss(p, t, reduction="sum") / B,
        lambda p, t: squared(p, t).sum((1, 2)),
    ),
    "sum of rows": (lambda p, t: ((p - t) ** 2).sum() / p.numel(), lambda p, t: squared(p, t).mean((1, 2))),
    "gradient accumulation": (lambda p, t: F.mse_loss(p, t) / 4, lambda p, t: squared(p, t).mean((1, 2)) / 4),
    "in place": (lambda p, t: F.mse_loss(p, t).mul_(3).div_(2), lambda p, t: squared(p, t).mean((1, 2)) * 1.5),
    "sum of a list of one": (lambda p, t: sum([F.mse_loss(p, t)]), lambda p, t: squared(p, t).mean((1, 2))),
    "number on the left": (lambda p, t: 0.5 * F.mse_loss(p, t), lambda p, t: squared(p, t).mean((1, 2)) / 2),
    "negative": (lambda p, t: -F.mse_loss(p, t), lambda p, t: -squared(p, t).mean((1, 2))),
    "cast": (lambda p, t: F.mse_loss(p, t).double().clone().to(torch.float32), lambda p, t: squared(p, t).mean((1, 2))),
    "flattened": (
        lambda p, t: F.mse_loss(p.flatten(0, 1), t.reshape(-1, 5)),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "numpy's axis, columns by index": (
        lambda p, t: ((p - t) ** 2)[:, [0, 2]][..., torch.tensor([1, 1])].mean(axis=(1, 2)).mean(),
        lambda p, t: squared(p, t)[:, :3:2, 1].mean(1),
    ),
    "a view of a view": (
        lambda p, t: ((p - t) ** 2).transpose(0, 2)[0].T.mean(),
        lambda p, t: squared(p, t)[..., 0].mean(1),
    ),
    "batch moved away": (
        lambda p, t: F.mse_loss(p[:, :3].transpose(0, 1), t[:, :3].transpose(0, 1)),
        lambda p, t: squared(p, t)[:, :3].mean((1, 2)),
    ),
    "moved in two steps": (
        lambda p, t: ((p - t) ** 2)[:, :3].transpose(0, 2)[0].mean(),
        lambda p, t: squared(p, t)[:, :3, 0].mean(1),
    ),
    "batch moved by none of these": (
        lambda p, t: F.mse_loss(p.transpose(1, 2)[:, :, 1:], t.mT[..., 1:]),
        lambda p, t: squared(p, t)[:, 1:].mean((1, 2)),
    ),
}


@pytest.mark.parametrize("name", ADDS_UP)
def test_losses_are_those_of_each_example(name: str) -> None:
    """Every shape of reduction that trainers use is taken apart, with values computed independently."""
    code, expected = ADDS_UP[name]
    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        loss = code(prediction, target)
    assert captured.losses is not None, captured.reason
    assert captured.reason is None
    assert captured.losses.shape == (B,)
    assert captured.losses.dtype == torch.float32
    assert not captured.losses.requires_grad
    torch.testing.assert_close(captured.losses, expected(prediction, target))
    torch.testing.assert_close(captured.losses.mean(), loss.detach().float())


@pytest.mark.parametrize("name", ADDS_UP)
@pytest.mark.parametrize("backward_inside", [False, True])
def test_training_is_not_touched(name: str, backward_inside: bool) -> None:
    """Scalar, gradient and random state are bit for bit what they are without the block."""
    code, _ = ADDS_UP[name]

    def run() -> tuple[Tensor, Tensor]:
        prediction, target = example()
        loss = code(F.dropout(prediction, 0.3), target)
        if backward_inside:
            loss.backward()
        else:
            (loss * 1).backward()
        assert prediction.grad is not None
        return loss.detach(), prediction.grad

    torch.manual_seed(5)
    plain = run()
    state = torch.get_rng_state()
    torch.manual_seed(5)
    with capture_per_example_loss(B) as captured:
        inside = run()
    assert all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert captured.losses is not None, captured.reason


LOGITS = torch.randn(B, 6, 7, generator=torch.Generator().manual_seed(1), requires_grad=True)
TOKENS = torch.randint(0, 7, (B, 6), generator=torch.Generator().manual_seed(2))


def token_losses(labels: Tensor, **options: Any) -> Tensor:
    return torch.stack([F.cross_entropy(LOGITS[i].detach(), labels[i], **options) for i in range(B)])


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 3}])
@pytest.mark.parametrize("flat", [False, True])
def test_cross_entropy_of_equally_long_examples(options: dict[str, Any], flat: bool) -> None:
    """Token models whose examples count the same number of targets are taken apart, flattened or not."""
    labels = torch.where(TOKENS == 3, 0, TOKENS)
    labels[:, 2] = options.get("ignore_index", -100)  # one in each example
    with capture_per_example_loss(B) as captured:
        if flat:
            loss = F.cross_entropy(LOGITS[:, :-1, :].contiguous().view(-1, 7), labels[:, :-1].reshape(-1), **options)
        else:
            loss = F.cross_entropy(LOGITS.transpose(1, 2), labels, **options)
    expected = (
        torch.stack([F.cross_entropy(LOGITS[i, :-1].detach(), labels[i, :-1], **options) for i in range(B)])
        if flat
        else token_losses(labels, **options)
    )
    assert captured.losses is not None, captured.reason
    torch.testing.assert_close(captured.losses, expected)
    torch.testing.assert_close(captured.losses.mean(), loss)


def test_cross_entropy_of_unequally_long_examples_is_none() -> None:
    """A mean over all tokens weighs examples by length; it is not passed off as the mean of per-example losses."""
    labels = TOKENS.clone()
    labels[0, 2:] = -100
    with capture_per_example_loss(B) as captured:
        loss = F.cross_entropy(LOGITS.view(-1, 7), labels.view(-1))
    assert captured.losses is None
    assert "ignored" in str(captured.reason)
    assert not torch.isclose(loss, token_losses(labels).mean())  # the reason it must be None


def test_cross_entropy_of_labels() -> None:
    """Classification: class indices and class probabilities are taken apart; class weights and all ignored are not."""
    logits, labels = LOGITS[:, 0], TOKENS[:, 0]
    with capture_per_example_loss(B) as captured:
        loss = torch.nn.CrossEntropyLoss()(logits, labels)
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses, F.cross_entropy(logits, labels, reduction="none"))
    with capture_per_example_loss(B) as captured:
        loss = F.cross_entropy(LOGITS.transpose(1, 2), LOGITS.softmax(-1).transpose(1, 2))
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses.mean(), loss)
    for wrong in ({"weight": torch.rand(7)}, {"reduction": "sum"}):
        with capture_per_example_loss(B) as captured:
            loss = F.cross_entropy(logits, labels, **wrong)
        assert captured.losses is None
    with capture_per_example_loss(B) as captured:
        loss = F.cross_entropy(logits, torch.full((B,), -100))
    assert captured.losses is None
    with capture_per_example_loss(7) as captured:  # one example of 7 classes is not 7 examples
        loss = F.cross_entropy(logits[0], labels[0])
    assert captured.losses is None


NONE: dict[str, tuple[Callable[[Tensor, Tensor], Any], str]] = {
    "a term is added": (lambda p, t: F.mse_loss(p, t) + 0.1 * p.norm(), "add"),
    "prior preservation": (lambda p, t: F.mse_loss(p, t) + 0.5 * F.mse_loss(p * 2, t), "add"),
    "two terms in place": (lambda p, t: F.mse_loss(p, t).add_(F.l1_loss(p, t)), "add"),
    "a number is added": (lambda p, t: F.mse_loss(p, t) + 1, "add"),
    "not linear": (lambda p, t: F.mse_loss(p, t).sqrt(), "sqrt"),
    "one over": (lambda p, t: 1 / F.mse_loss(p, t), "div"),
    "normalised mask": (lambda p, t: (((p - t) ** 2) * t.abs()).sum() / t.abs().sum(), "div"),
    "scaled by a tensor": (lambda p, t: F.mse_loss(p, t) * torch.tensor(2.0), "tensor"),
    "another batch size": (lambda p, t: F.mse_loss(torch.cat([p, p]), torch.cat([t, t])), "batch_size 3"),
    "one example": (lambda p, t: F.mse_loss(p[:, :3][1], t[:, :3][1]), "example 1 alone"),
    "shuffled": (lambda p, t: F.mse_loss(p[torch.tensor([2, 0, 1])], t), "reordered"),
    "shuffled rows of numbers": (
        lambda p, t: ((p - t) ** 2).mean((1, 2))[..., torch.tensor([2, 0, 1])].mean(),
        "reordered",
    ),
    "flipped": (lambda p, t: F.mse_loss(p.flip(0), t), "reordered"),
    "mean over the batch first": (lambda p, t: ((p - t) ** 2)[:, :3, 0].mean(0).mean(), "mean"),
    "mean copied to a batch": (lambda p, t: F.mse_loss(p, t).repeat(B).mean(), "repeat"),
    "mean written to a batch": (lambda p, t: _written(F.mse_loss(p, t)), "written"),
    "changed under another name": (lambda p, t: _changed(F.mse_loss(p, t)), "in place"),
    "unknown reduction": (lambda p, t: torch.linalg.vector_norm(p - t), "vector_norm"),
    "only a number returned": (lambda p, t: 3.0, "no scalar"),
    "broadcast": (lambda p, t: F.mse_loss(p.mean((1, 2)), t[:, :1, 0].squeeze(1)[:, None][:, 0].T[:1]), "broadcast"),
}


def _written(mean: Tensor) -> Tensor:
    buffer = torch.zeros(B)
    buffer[1:] = mean
    return buffer.mean()


def _changed(mean: Tensor) -> Tensor:
    mean.detach().view(1).mul_(2)
    return mean


@pytest.mark.parametrize("name", NONE)
@pytest.mark.filterwarnings("ignore:Using a target size", "ignore:The use of `x.T`")
def test_none_rather_than_wrong(name: str) -> None:
    """Where the scalar is not known to be the mean of per-example losses, losses is None and a reason is given."""
    code, reason = NONE[name]
    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        loss = code(prediction, target)
    assert captured.losses is None
    assert reason in str(captured.reason)
    assert loss is not None


def test_statistics_for_logging() -> None:
    """A detached statistic does not hide the loss; one that could be the loss makes it None until it is named."""
    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        error = (prediction - target).abs()
        statistic = error.detach().mean()
        loss = F.mse_loss(prediction, target)
        running = 0.9 * torch.tensor(1.0) + 0.1 * loss.detach()
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses.mean(), loss.detach())
    with capture_per_example_loss(B) as captured:
        statistic = (prediction - target).abs().mean()
        loss = F.mse_loss(prediction, target)
    assert captured.losses is None
    assert "check" in str(captured.reason)
    assert captured.check(loss)
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses.mean(), loss.detach())
    assert captured.check(statistic)
    torch.testing.assert_close(captured.losses.mean(), statistic.detach())
    assert not captured.check(running)
    assert captured.losses is None
    assert "check()" in str(captured.reason)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_loss_is_named(mode: Callable[[], Any]) -> None:
    """Without gradients nothing tells the loss from a metric, so that check() has to."""
    prediction, target = example()
    with mode(), capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction, target)
    assert captured.losses is None
    assert "check" in str(captured.reason)
    assert captured.check(loss)
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses, squared(prediction, target).mean((1, 2)))
    for read in (float, str, format, np.asarray, Tensor.item, Tensor.tolist):
        with mode(), capture_per_example_loss(B) as captured:
            read(F.mse_loss(prediction, target))
            statistic = (prediction > 0).float().mean()
        assert captured.losses is None
    assert statistic > 0


def test_backward_in_the_block() -> None:
    """Inside a training step that returns loss.detach() / n, the returned scalar is the one reported."""

    def training_step(prediction: Tensor, target: Tensor) -> Tensor:
        loss = F.mse_loss(prediction, target)
        (loss / 4).backward()
        return loss.detach()

    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        loss = training_step(prediction, target)
    assert captured.losses is not None, captured.reason
    torch.testing.assert_close(captured.losses.mean(), loss)
    with capture_per_example_loss(B) as captured:
        training_step(prediction, target).item()
        statistic = prediction.detach().mean()
    assert captured.losses is not None, captured.reason
    torch.testing.assert_close(captured.losses.mean(), loss)
    with capture_per_example_loss(B) as captured:  # what is differentiated is not what is left alive
        torch.linalg.vector_norm(prediction).backward()
        statistic = prediction.mean()
    assert captured.losses is None
    assert statistic.requires_grad


def test_gated_model_and_rewritten_gate() -> None:
    """A learned scalar that scales the model's activations is no candidate for the loss."""
    prediction, target = example()
    gate = torch.zeros((), requires_grad=True)
    with capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction * gate.sigmoid() + prediction, target)
    assert captured.losses is not None, captured.reason
    torch.testing.assert_close(captured.losses.mean(), loss.detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    """Losses of half precision are summed in float32; the scalar agrees within its own precision."""
    prediction, target = (tensor.detach().to(dtype) for tensor in example(shape=(B, 4, 64, 64)))
    for code in (F.mse_loss, lambda p, t: ((p - t) ** 2).mean()):
        with capture_per_example_loss(B) as captured:
            loss = code(prediction, target)
        assert captured.check(loss)
        assert captured.losses is not None
        assert captured.losses.dtype == torch.float32
        torch.testing.assert_close(captured.losses.mean(), loss.float(), rtol=8e-3, atol=0)


def test_autocast() -> None:
    """Under autocast the block sees the values that autocast's loss sees."""
    model, (inputs, target) = torch.nn.Linear(5, 5), example()
    with torch.autocast("cpu", torch.bfloat16), capture_per_example_loss(B) as captured:
        loss = F.mse_loss(model(inputs), target)
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses.mean(), loss.detach().float())


def test_large_losses_are_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces smaller than an example, and several examples to a piece, give the same losses."""
    prediction, target = example()
    expected = squared(prediction, target).mean((1, 2))
    for elements in (1, 2 * 20):
        monkeypatch.setattr("loss_logging.loss_functions._PIECE_ELEMENTS", elements)
        for rows in (lambda x: x, lambda x: x.view(-1, 5)):
            with capture_per_example_loss(B) as captured:
                loss = F.mse_loss(rows(prediction), rows(target))
            assert captured.losses is not None
            torch.testing.assert_close(captured.losses, expected)
    del loss


@pytest.mark.parametrize("fullgraph", [False, True])
def test_compiled_model(fullgraph: bool) -> None:
    """A compiled model in the block compiles as ever, once, and the loss outside it is taken apart."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model, (inputs, target) = torch.nn.Linear(5, 5), example()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=fullgraph)
    for _ in range(4):
        with capture_per_example_loss(B) as captured:
            loss = F.mse_loss(compiled(inputs), target)
        assert captured.losses is not None, captured.reason
        torch.testing.assert_close(captured.losses.mean(), loss.detach())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert not torch._dynamo.utils.counters["graph_break"]


def test_blocks_within_blocks_and_threads() -> None:
    """An inner block has its own batch size, and another thread's losses are not seen."""
    prediction, target = example()

    def elsewhere() -> None:
        others.append(F.mse_loss(prediction[:, 0], target[:, 0]))

    others: list[Tensor] = []
    with capture_per_example_loss(B) as outer:
        with capture_per_example_loss(B * 4) as inner:
            loss = F.mse_loss(prediction.flatten(0, 1), target.flatten(0, 1))
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert inner.losses is not None, inner.reason
    assert outer.losses is not None, outer.reason
    torch.testing.assert_close(inner.losses.view(B, 4).mean(1), outer.losses)
    assert loss.requires_grad


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:Sparse")
def test_unusual_tensors_pass_through() -> None:
    """Sparse, nested and vmapped tensors and per-sample gradients do not fail in the block; check() finds the loss."""
    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        assert torch.eye(B).to_sparse().t().sum() == B
        assert torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]).contiguous().dim() == 2
        assert torch.vmap(lambda row: (row * row.sum()).mean())(target).shape == (B,)
        assert torch.func.vmap(torch.func.grad(lambda row: row.square().mean() / 2))(target).shape == SHAPE
        loss = F.mse_loss(prediction, target)
    assert captured.check(loss), captured.reason
    assert captured.losses is not None
    torch.testing.assert_close(captured.losses.mean(), loss.detach())


def test_nothing_is_kept_alive() -> None:
    """The captured object holds (B,) numbers, and neither the scalar nor its graph."""
    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction * 2, target)
    gone = weakref.ref(loss)
    del loss
    gc.collect()
    assert gone() is None
    assert captured.losses is not None


def test_unfinished_block() -> None:
    """Inside the block check() answers; losses waits for the end; an exception passes through."""
    prediction, target = example()
    with pytest.raises(RuntimeError, match="out of luck"), capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction, target)
        assert captured.losses is None
        assert captured.check(loss)
        raise RuntimeError("out of luck")
    with pytest.raises(RuntimeError, match="out of luck"), capture_per_example_loss(B) as captured:
        raise RuntimeError("out of luck")
    assert "has not ended" in str(captured.reason)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "4"])
def test_batch_size_is_checked(batch_size: Any) -> None:
    """A batch size that is no positive integer is refused with its value."""
    with (
        pytest.raises(ValueError, match=f"batch_size is {batch_size!r}"),
        capture_per_example_loss(batch_size),
    ):
        pass


def test_batch_of_one() -> None:
    """With one example everything that is a mean is that example's loss."""
    prediction, target = example(shape=(1, 1, 4))
    with capture_per_example_loss(1) as captured:
        loss = F.mse_loss(prediction[0].t(), target[0].t()).mean() / 2
    assert captured.losses is None or torch.allclose(captured.losses, loss.detach())


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


@settings(max_examples=600, deadline=None)
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


@settings(max_examples=300, deadline=None)
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
