"""The promise of parity: the mean of the per-example losses equals the scalar that the trainer optimises.

Each test holds a trainer's loss code as its project writes it, and the same loss taken apart.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from loss_logging import capture_per_example_loss, compute_per_example_loss, per_example_loss

B = 6
NAMES = {"paths": [f"{i}.png" for i in range(B)], "datasets": "photos", "captions": ["a photo"] * B}


def latents(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(shape))
    size = (B, *shape)
    return torch.randn(size, generator=generator, requires_grad=True), torch.randn(size, generator=generator)


def assert_equal_mean(losses: Tensor, scalar: Tensor) -> None:
    torch.testing.assert_close(losses.mean(), scalar.detach().float(), rtol=1e-6, atol=1e-7)


SHAPES = {"4-D image latents": (4, 16, 16), "5-D video latents": (16, 3, 8, 8), "1-D": (), "2-D features": (32,)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_mse(shape: tuple[int, ...]) -> None:
    """diffusers: F.mse_loss(..., reduction="mean"), taken apart by hand and by capture."""
    prediction, target = latents(*shape)
    with capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction.float(), target.float(), reduction="mean")
    by_hand = per_example_loss(F.mse_loss(prediction.float(), target.float(), reduction="none"))
    assert_equal_mean(by_hand, loss)
    assert captured.losses is not None
    assert_equal_mean(captured.losses, loss)
    torch.testing.assert_close(captured.losses, by_hand)


def test_ai_toolkit_local_reduction() -> None:
    """ai-toolkit: a loss per example over the latents' dimensions, times a multiplier per item, then the mean."""
    prediction, target = latents(4, 16, 16)
    multiplier = torch.tensor([1.0, 1.0, 0.5, 2.0, 1.0, 0.0])
    unreduced = F.mse_loss(prediction, target, reduction="none")
    with capture_per_example_loss(B) as captured:
        loss = (unreduced.mean([1, 2, 3]) * multiplier).mean()
    assert captured.losses is not None
    assert_equal_mean(captured.losses, loss)
    torch.testing.assert_close(captured.losses, per_example_loss(unreduced) * multiplier)


@pytest.mark.parametrize("shape", [(4, 16, 16), (4, 3, 8, 8)])
def test_masked(shape: tuple[int, ...]) -> None:
    """kohya: the mask is multiplied in and not renormalised; a small mask gives a small loss."""
    prediction, target = latents(*shape)
    mask = torch.zeros(B, 1, *shape[1:])
    for i in range(B):
        mask[i, ..., : i + 1] = 1.0
    unreduced = F.mse_loss(prediction, target, reduction="none") * mask
    loss = unreduced.mean(dim=list(range(1, unreduced.ndim))).mean()
    losses = per_example_loss(unreduced)
    assert_equal_mean(losses, loss)
    assert losses[0] < losses[-1] / 2


def test_min_snr() -> None:
    """min-SNR-gamma (Hang et al. 2023): the record holds the unweighted loss, a component the weight."""
    prediction, target = latents(4, 16, 16)
    timesteps = torch.tensor([1, 100, 300, 500, 800, 999])
    alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)
    snr = alphas[timesteps] / (1 - alphas[timesteps])
    mse_loss_weights = torch.stack([snr, 5.0 * torch.ones_like(timesteps)], dim=1).min(dim=1)[0] / snr
    loss = F.mse_loss(prediction.float(), target.float(), reduction="none")
    records = compute_per_example_loss(loss, timesteps=timesteps, components={"snr_weight": mse_loss_weights}, **NAMES)
    with capture_per_example_loss(B) as captured:
        loss = loss.mean(dim=list(range(1, len(loss.shape)))) * mse_loss_weights
        loss = loss.mean()
    weighted = torch.tensor([record.components["snr_weight"] * record.loss for record in records])
    assert_equal_mean(weighted, loss)
    assert captured.losses is not None
    assert_equal_mean(captured.losses, loss)
    assert records[0].components["snr_weight"] < 1.0
    assert [record.timestep for record in records] == timesteps.tolist()


def test_prior_preservation() -> None:
    """DreamBooth: the second half of the batch are class images; both halves together make up the scalar."""
    prediction, target = latents(4, 16, 16)
    prior_loss_weight = 0.7
    unreduced = F.mse_loss(prediction.float(), target.float(), reduction="none")
    with capture_per_example_loss(B // 2) as captured:
        model_pred, model_pred_prior = torch.chunk(prediction, 2, dim=0)
        instance, prior_target = torch.chunk(target, 2, dim=0)
        loss = F.mse_loss(model_pred.float(), instance.float(), reduction="mean")
        loss = loss + prior_loss_weight * F.mse_loss(model_pred_prior.float(), prior_target.float(), reduction="mean")
    losses, prior_losses = per_example_loss(unreduced).chunk(2)
    torch.testing.assert_close(losses.mean() + prior_loss_weight * prior_losses.mean(), loss.detach())
    assert captured.losses is None  # row i would mix an instance with somebody else's class image


def test_flow_matching_under_autocast() -> None:
    """A flow-matching step in bfloat16: target noise - latents, weights per timestep, loss in float32."""
    clean, noise = latents(16, 8, 8)
    sigmas = torch.linspace(0.1, 0.9, B).view(-1, 1, 1, 1)
    model = torch.nn.Conv2d(16, 16, 3, padding=1)
    weighting = 1 + sigmas
    with torch.autocast("cpu", torch.bfloat16), capture_per_example_loss(B) as captured:
        model_pred = model((1 - sigmas) * clean + sigmas * noise)
        target = noise - clean
        loss = torch.mean(
            (weighting.float() * (model_pred.float() - target.float()) ** 2).reshape(target.shape[0], -1), 1
        )
        loss = loss.mean()
    assert captured.losses is not None
    assert_equal_mean(captured.losses, loss)


def test_classifier() -> None:
    """Cross-entropy on labels with smoothing, as in an image classifier."""
    logits = torch.randn(B, 10, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.arange(B)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    with capture_per_example_loss(B) as captured:
        loss = criterion(logits, labels)
    assert captured.losses is not None
    assert_equal_mean(captured.losses, loss)
    assert_equal_mean(per_example_loss(F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")), loss)
