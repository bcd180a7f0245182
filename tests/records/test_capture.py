"""The block around a step: which scalar is its loss, and what the block leaves alone."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from loss_examples import SHAPE, B, example, squared
from torch import Tensor

from loss_logging import capture_per_example_loss
from loss_logging.records.dataflow.trace import Trace


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
        monkeypatch.setattr("loss_logging.records.dataflow.loss_functions._PIECE_ELEMENTS", elements)
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


def test_a_broken_observer_never_reaches_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in what watches: the step is as ever, and the answer is None with a reason."""
    prediction, target = example()
    plain = F.mse_loss(prediction, target)

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    for name in ("fact", "observe", "facts_before", "before_change", "_remember", "choose"):
        with monkeypatch.context() as patch:
            patch.setattr(Trace, name, broken)
            with capture_per_example_loss(B) as captured:
                loss = F.mse_loss(prediction, target).mul_(1)
                loss.backward()
            assert captured.losses is None, name
            assert "out of memory" in str(captured.reason)
            assert not captured.check(loss)
        assert torch.equal(loss, plain)
    with capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction, target)
    monkeypatch.setattr("loss_logging.records.capture._verdict", broken)
    assert captured.losses is None
    assert "out of memory" in str(captured.reason)


class Halved(torch.autograd.Function):
    """A loss that no mode sees: it is made by NumPy."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(prediction, target)
        with torch._C.DisableTorchFunction():
            return ((prediction - target) ** 2).mean() / 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        prediction, target = ctx.saved_tensors
        return gradient * (prediction - target) / prediction.numel(), None


def of_a_script(prediction: Tensor, target: Tensor) -> Tensor:
    return ((prediction - target) ** 2).mean()


def scripted(prediction: Tensor, target: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(of_a_script)(prediction, target)  # type: ignore[no-any-return, no-untyped-call]


def compiled(prediction: Tensor, target: Tensor) -> Tensor:
    return torch.compile(F.mse_loss, backend="aot_eager")(prediction, target)  # type: ignore[no-any-return]


@pytest.mark.parametrize("unseen", [Halved.apply, scripted, compiled])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_a_metric_is_not_taken_for_a_loss_that_is_not_seen(unseen: Callable[..., Tensor], mode: Any) -> None:
    """The loss is made where no call is seen, and an accuracy beside it: None, also when it is named."""
    prediction, target = example()
    with mode(), capture_per_example_loss(B) as captured:
        loss = unseen(prediction, target)
        accuracy = (prediction.argmax(1) == target.argmax(1)).float().mean()
    assert captured.losses is None
    assert "check" in str(captured.reason)
    assert not captured.check(loss)
    assert captured.check(accuracy)
    with mode(), capture_per_example_loss(B) as captured:
        accuracy = (prediction.argmax(1) == target.argmax(1)).float().mean()
        if loss.requires_grad:
            unseen(prediction, target).backward()
    assert captured.losses is None


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_net_that_makes_its_loss(backend: str) -> None:
    """A net that returns its loss beside its output leaves None, whatever is computed from the output."""
    net = torch.nn.Linear(5, 5)

    @torch.compile(backend=backend)
    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = net(x)
        return z, F.mse_loss(z, y)

    inputs, target = example()
    with capture_per_example_loss(B) as captured:
        z, loss = step(inputs, target)
        accuracy = (z.argmax(1) == target.argmax(1)).float().mean()
    assert captured.losses is None or torch.allclose(captured.losses.mean(), loss.detach())
    assert accuracy >= 0


def test_a_compiled_net_beside_a_metric_with_a_gradient() -> None:
    """Nor is a metric that has a gradient taken for the loss that the net has made."""
    net = torch.nn.Linear(5, 5)

    @torch.compile(backend="aot_eager")
    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = net(x)
        return z, F.mse_loss(z, y)

    inputs, target = example()
    with capture_per_example_loss(B) as captured:
        z, loss = step(inputs, target)
        distance = F.l1_loss(z, target)
    assert captured.losses is None
    assert "check" in str(captured.reason)
    assert captured.check(distance)
    assert not captured.check(loss)


def test_blocks_of_all_examples() -> None:
    """Chosen and rejected answers in one tensor, one block after the other, are of the same examples."""
    scores = torch.randn(2 * B, requires_grad=True)
    with capture_per_example_loss(B, blocks=2) as captured:
        chosen, rejected = (scores * 2).chunk(2)
        loss = -F.logsigmoid(chosen - rejected).mean()
    expected = -F.logsigmoid(2 * (scores[:B] - scores[B:])).detach()
    assert captured.losses is not None
    assert torch.allclose(captured.losses, expected)
    assert torch.allclose(captured.losses.mean(), loss)
    with pytest.raises(ValueError, match="blocks is 0"), capture_per_example_loss(B, blocks=0):
        pass
