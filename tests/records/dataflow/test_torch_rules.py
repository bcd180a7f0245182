"""What is taken apart, and what is not: the rules about torch's calls, on the losses that trainers compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from loss_examples import SHAPE, B, example, squared
from torch import Tensor

from loss_logging import capture_per_example_loss

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
