"""loss_logging/records/capture.py and trace.py"""

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
from helpers import examples
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from loss_examples import SHAPE, B, example, squared
from torch import Tensor

from loss_logging import capture_per_example_loss
from loss_logging.records.dataflow.trace import Trace

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
    "one dimension more": (
        lambda p, t: F.mse_loss(p, t, reduction="none").mean([1, 2]).unsqueeze(0).mean(),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "in one row": (lambda p, t: ((p - t) ** 2).reshape(1, -1).mean(), lambda p, t: squared(p, t).mean((1, 2))),
    "cut through examples": (lambda p, t: ((p - t) ** 2).view(10, 6).mean(), lambda p, t: squared(p, t).mean((1, 2))),
    "an empty index": (lambda p, t: ((p - t) ** 2).mean()[()], lambda p, t: squared(p, t).mean((1, 2))),
    "frames in the batch": (
        lambda p, t: F.mse_loss(
            p.reshape(B, 2, 2, 5).transpose(1, 2).flatten(0, 1),
            t.view(B, 2, 2, 5).mT.mT.reshape(B, 2, 2, 5).transpose(1, 2).flatten(0, 1),
        ),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "transposed by einsum": (
        lambda p, t: torch.einsum("bcd->cdb", (p - t) ** 2).mean((0, 1)).mean(),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "taken apart and put together": (
        lambda p, t: torch.cat(((p - t) ** 2).split([1, 2])).mean(),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "a loop over the examples": (
        lambda p, t: torch.stack([torch.linalg.vector_norm(p[i] - t[i]) for i in range(B)]).mean(),
        lambda p, t: squared(p, t).sum((1, 2)).sqrt(),
    ),
    "written example by example": (lambda p, t: _filled(p, t).mean(), lambda p, t: squared(p, t).mean((1, 2))),
    "a total that begins with zeros": (
        lambda p, t: torch.zeros(()) + F.mse_loss(p, t),
        lambda p, t: squared(p, t).mean((1, 2)),
    ),
    "a total in place": (lambda p, t: torch.zeros(()).add_(F.mse_loss(p, t)), lambda p, t: squared(p, t).mean((1, 2))),
    "binary cross entropy": (
        lambda p, t: F.binary_cross_entropy(p.sigmoid(), t.sigmoid()),
        lambda p, t: F.binary_cross_entropy(p.detach().sigmoid(), t.sigmoid(), reduction="none").mean((1, 2)),
    ),
    "binary cross entropy with logits, weighted": (
        lambda p, t: F.binary_cross_entropy_with_logits(
            p, t.sigmoid(), WEIGHTS[:, None, None], pos_weight=torch.arange(5.0)
        ),
        lambda p, t: F.binary_cross_entropy_with_logits(
            p.detach(), t.sigmoid(), WEIGHTS[:, None, None], pos_weight=torch.arange(5.0), reduction="none"
        ).mean((1, 2)),
    ),
    "kl_div, batchmean": (
        lambda p, t: F.kl_div(p.log_softmax(-1), t.softmax(-1), reduction="batchmean"),
        lambda p, t: F.kl_div(p.detach().log_softmax(-1), t.softmax(-1), reduction="none").sum((1, 2)),
    ),
    "kl_div of tokens, batchmean": (
        lambda p, t: F.kl_div(p.flatten(0, 1).log_softmax(-1), t.view(-1, 5).softmax(-1), reduction="batchmean"),
        lambda p, t: F.kl_div(p.detach().log_softmax(-1), t.softmax(-1), reduction="none").sum(2).mean(1),
    ),
    "nll_loss": (
        lambda p, t: F.nll_loss(p.log_softmax(1), t.argmax(1)),
        lambda p, t: F.cross_entropy(p.detach(), t.argmax(1), reduction="none").mean(1),
    ),
    "mse_loss, weighted": (
        lambda p, t: F.mse_loss(p, t, weight=t.abs()),
        lambda p, t: B * (squared(p, t) * t.abs()).sum((1, 2)) / t.abs().sum(),
    ),
    "l1_loss, weighted": (
        lambda p, t: F.l1_loss(p, t, weight=t.abs()),
        lambda p, t: B * ((p.detach() - t).abs() * t.abs()).sum((1, 2)) / t.abs().sum(),
    ),
    "huber_loss, weighted": (
        lambda p, t: F.huber_loss(p, t, weight=t.abs()),
        lambda p, t: F.huber_loss(p.detach(), t, weight=t.abs(), reduction="none").mean((1, 2)),
    ),
    "picked by label": (
        lambda p, t: -p[:, :, 0].log_softmax(1)[torch.arange(B), t[:, :, 0].argmax(1)].mean(),
        lambda p, t: F.cross_entropy(p.detach()[:, :, 0], t[:, :, 0].argmax(1), reduction="none"),
    ),
    "a distribution": (
        lambda p, t: -torch.distributions.Normal(p, 1.0).log_prob(t).mean(),
        lambda p, t: squared(p, t).mean((1, 2)) / 2 + 0.5 * np.log(2 * np.pi),
    ),
    "per example by vmap": (
        lambda p, t: torch.vmap(lambda a, b: (a - b).square().mean())(p, t).mean(),
        lambda p, t: squared(p, t).mean((1, 2)),
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


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", [F.l1_loss, F.mse_loss, F.huber_loss])
def test_weights_of_a_loss_count_within_as_without(loss: Callable[..., Tensor], reduction: str) -> None:
    """torch's own function modes make l1_loss forget its weight (torch 2.13.0); watching does not."""
    given, target = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2, 2)
    weight = torch.tensor([[1.0, 0.0], [0.5, 0.0]])  # a mask
    plain = loss(given, target, weight=weight, reduction=reduction)
    with capture_per_example_loss(2):
        assert torch.equal(loss(given, target, weight=weight, reduction=reduction), plain)


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
    "one example": (lambda p, t: F.mse_loss(p[:, :3][1], t[:, :3][1]), "only example 1"),
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
    "weighted after the mean": (lambda p, t: (F.mse_loss(p, t) * WEIGHTS).mean(), "mul"),
    "unknown scalars side by side": (
        lambda p, t: torch.stack(
            [F.cross_entropy(p[:, :, i], t[:, :, i].argmax(1), torch.rand(4)) for i in range(B)]
        ).mean(),
        "class weights",
    ),
    "terms side by side": (lambda p, t: torch.stack([F.mse_loss(p, t), F.l1_loss(p, t), p.mean()]).mean(), "stack"),
    "not zero at first": (lambda p, t: torch.ones(()) + F.mse_loss(p, t), "add"),
    "upside down": (lambda p, t: torch.flipud((p - t) ** 2).mean(), "flipud"),
    "sorted": (lambda p, t: torch.msort((p - t) ** 2).mean(), "msort"),
    "taken": (lambda p, t: squares_of(p, t).take(torch.tensor([2, 0, 1])).mean(), "take"),
    "put together in another order": (lambda p, t: torch.cat([p[1:], p[:1]]).square().mean(), "cat"),
    "stacked in another order": (lambda p, t: torch.stack([p[2], p[0], p[1]]).square().mean(), "stack"),
    "the largest": (lambda p, t: squares_of(p, t).topk(B)[0].mean(), "topk"),
    "as many as examples": (lambda p, t: p.flatten(1)[p.flatten(1) > 9.0 - p.numel()][:B].mean(), "__getitem__"),
    "summed up along the batch": (lambda p, t: squares_of(p, t).cumsum(0).mean(), "cumsum"),
    "squeezed": (lambda p, t: p[:1, :B].squeeze(0).square().mean(), "only example 0"),
    "merged the other way": (lambda p, t: (p[:, :B, 0] @ t[:, :B, 0].T).mean(), "matmul"),
    "weights of the other dimension": (lambda p, t: (p[:, :B, 0] * WEIGHTS).mean(), "mul"),
    "reversed outside": (lambda p, t: (p * torch.tensor(t.tolist()[::-1])).mean(), "outside"),
    "moved by a list of places": (lambda p, t: _moved(p).mean(), "written"),
    "replaced": (lambda p, t: _replaced(p, t).mean(), "replaced"),
    "two halves against each other": (lambda p, t: (p[:1] - p[1:2]).square().mean(), "sub"),
    "an implicit softmax": (lambda p, t: F.softmax(p).mean(), "softmax"),
    "written through a view": (lambda p, t: _through_a_view(p, t), "another name"),
    "written through data": (lambda p, t: _through_data(p, t), "another name"),
    "mapped along another dimension": (
        lambda p, t: torch.vmap(lambda column: column.square().mean(), in_dims=1)(p[:, :B]).mean(),
        "another name",
    ),
    "only a number returned": (lambda p, t: 3.0, "no scalar"),
    "broadcast": (lambda p, t: F.mse_loss(p.mean((1, 2)), t[:, :1, 0].squeeze(1)[:, None][:, 0].T[:1]), "broadcast"),
}


def _filled(prediction: Tensor, target: Tensor) -> Tensor:
    losses = torch.zeros(B)
    for i in range(B):
        losses[i] = F.mse_loss(prediction[i], target[i])
    return losses


def _written(mean: Tensor) -> Tensor:
    buffer = torch.zeros(B)
    buffer[1:] = mean
    return buffer.mean()


def squares_of(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square().mean((1, 2))


def _moved(prediction: Tensor) -> Tensor:
    moved = torch.zeros(SHAPE)
    moved[torch.tensor([1, 2, 0])] = prediction
    return moved


def _replaced(prediction: Tensor, target: Tensor) -> Tensor:
    copy = prediction * 1
    copy.data = target.flip(0)
    return copy


def _through_a_view(prediction: Tensor, target: Tensor) -> Tensor:
    losses = squares_of(prediction, target) * 1
    losses[:1].copy_(losses[1:2])
    return losses.mean()


def _through_data(prediction: Tensor, target: Tensor) -> Tensor:
    losses = squares_of(prediction, target)
    losses.data[0] = losses.data[1]
    return losses.mean()


def _changed(mean: Tensor) -> Tensor:
    mean.detach().view(1).mul_(2)
    return mean


@pytest.mark.parametrize("name", NONE)
@pytest.mark.filterwarnings("ignore:Using a target size", "ignore:The use of `x.T`", "ignore:Implicit dimension choice")
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
