"""What `capture_per_example_loss` costs a training step, and what it makes of forty loss codes.

    python -m benchmarks.capture [--quick] [--json FILE]

- cost: a U-Net of about 144 torch calls and its loss on one thread, forward only: without a block, in an empty mode of
  torch's (the floor: torch itself hands each call to Python), in a block around the loss alone, and in one around all.
  CPU time; the ways take turns, so that a drift of the machine meets all of them.
- forty loss codes as trainers write them, each beside the per-example losses worked out by hand. No row may be wrong:
  the program ends with an error if one is.
"""

from __future__ import annotations

import contextlib
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmarks.table import Results, arguments, percentile
from loss_logging import capture_per_example_loss

B, STEPS = 4, 300


class EmptyMode(TorchFunctionMode):
    """Torch hands over each call, and it is made."""

    calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        EmptyMode.calls += 1
        return func(*args, **(kwargs or {}))


class Block(nn.Module):
    """A residual block that is told the timestep."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.time = nn.Linear(32, after)
        self.second = nn.Sequential(nn.GroupNorm(4, after), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1))
        self.beside = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.first(x) + self.time(F.silu(time))[:, :, None, None]
        return self.second(h) + self.beside(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Of four heads over the pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.out = nn.GroupNorm(4, channels), nn.Linear(channels, channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = self.norm(x).flatten(2).transpose(1, 2)
        heads = [part(y).view(b, h * w, 4, c // 4).transpose(1, 2) for part in (self.query, self.key, self.value)]
        y = F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(b, h * w, c)
        return x + self.out(y).transpose(1, 2).view(b, c, h, w)


class UNet(nn.Module):
    """Two levels, a skip connection for each block."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        c = channels
        self.embed = nn.Sequential(nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 32))
        self.enter, self.leave = nn.Conv2d(4, c, 3, padding=1), nn.Conv2d(c, 4, 3, padding=1)
        self.down = nn.ModuleList([Block(c, c), Block(c, 2 * c), Block(2 * c, 2 * c)])
        self.middle, self.attention = Block(2 * c, 2 * c), nn.ModuleList([Attention(2 * c), Attention(2 * c)])
        self.up = nn.ModuleList([Block(4 * c, 2 * c), Block(4 * c, c), Block(2 * c, c)])

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        waves = timesteps[:, None].float() * torch.exp(-torch.arange(16) * 0.6)[None]
        time = self.embed(torch.cat([waves.sin(), waves.cos()], dim=-1))
        first = self.down[0](self.enter(x), time)
        second = self.attention[0](self.down[1](F.avg_pool2d(first, 2), time))
        third = self.down[2](second, time)
        h = self.attention[1](self.middle(third, time))
        h = self.up[1](torch.cat([self.up[0](torch.cat([h, third], 1), time), second], 1), time)
        h = F.interpolate(h, scale_factor=2.0, mode="nearest")
        return self.leave(self.up[2](torch.cat([h, first], 1), time))  # type: ignore[no-any-return]


def cost(steps: int) -> list[dict[str, Any]]:
    """CPU milliseconds of a forward pass and its loss."""
    torch.manual_seed(0)
    model, x, noise, timesteps = UNet(), torch.randn(B, 4, 8, 8), torch.randn(B, 4, 8, 8), torch.randint(1000, (B,))
    nothing, whole = contextlib.nullcontext, lambda: capture_per_example_loss(B)
    ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "no block": (nothing, nothing),
        "an empty mode": (EmptyMode, nothing),
        "a block around the loss": (nothing, whole),
        "a block around the step": (whole, nothing),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    EmptyMode.calls = 0
    for _ in range(steps):
        for name, (around_all, around_loss) in ways.items():
            start = time.process_time()
            with around_all() as all_of_it:
                prediction = model(x, timesteps)
                with around_loss() as part:
                    loss = F.mse_loss(prediction, noise)
            taken[name].append((time.process_time() - start) * 1e3)
            captured = part or (all_of_it if name != "an empty mode" else None)
            assert captured is None or captured.losses is not None, captured.reason
            loss.backward()  # type: ignore[no-untyped-call]
    return _cost_rows({name: times[steps // 10 :] for name, times in taken.items()}, EmptyMode.calls // steps)


def _cost_rows(taken: dict[str, list[float]], calls: int) -> list[dict[str, Any]]:
    plain = taken["no block"]
    return [
        {
            "way": name,
            "calls": calls,
            "median ms": statistics.median(times),
            "p10..p90 ms": f"{percentile(times, 10):.3g}..{percentile(times, 90):.3g}",
            "added ms": statistics.median([t - p for t, p in zip(times, plain, strict=True)]),
            "added us a call": statistics.median([t - p for t, p in zip(times, plain, strict=True)]) / calls * 1e3,
            "ratio": statistics.median(times) / statistics.median(plain),
        }
        for name, times in taken.items()
    ]


class Batch(NamedTuple):
    """What loss codes are computed from; B = 4."""

    pred: Tensor  # (B, 4, 8, 8)
    target: Tensor
    mask: Tensor  # (B, 1, 8, 8)
    weight: Tensor  # (B,)
    logits: Tensor  # (B, 6, 11)
    tokens: Tensor  # (B, 6)
    scores: Tensor  # (B, 10)
    labels: Tensor  # (B,)
    video: Tensor  # (B, 3, 4, 8, 8)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int, grad: bool = False) -> Tensor:
        return torch.randn(shape, generator=generator, requires_grad=grad)

    tokens = torch.randint(0, 11, (B, 6), generator=generator)
    return Batch(
        pred=noise(B, 4, 8, 8, grad=True),
        target=noise(B, 4, 8, 8),
        mask=(noise(B, 1, 8, 8) > 0).float(),
        weight=noise(B).abs() + 0.1,
        logits=noise(B, 6, 11, grad=True),
        tokens=tokens,
        scores=noise(B, 10, grad=True),
        labels=torch.tensor([3, 1, 4, 1]),
        video=noise(B, 3, 4, 8, 8, grad=True),
    )


def per_example(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """(B,) a loss of each example by itself."""
    return torch.stack([function(*(x[i : i + 1] for x in tensors)) for i in range(B)])


def squares(b: Batch) -> Tensor:
    return ((b.pred - b.target) ** 2).mean((1, 2, 3))


def in_a_loop(b: Batch) -> Tensor:
    return torch.stack([F.mse_loss(b.pred[i], b.target[i]) for i in range(B)]).mean()


def summed_up(b: Batch) -> Tensor:
    total = torch.zeros(())
    for loss in (F.mse_loss(b.pred, b.target),):
        total = total + loss
    return total


def focal(b: Batch) -> Tensor:
    log_p = F.log_softmax(b.scores, -1).gather(1, b.labels[:, None]).squeeze(1)
    return -((1 - log_p.exp()) ** 2 * log_p)


def flow(b: Batch) -> Tensor:
    return (b.weight.view(-1, 1, 1, 1) * (b.pred.float() - b.target.float()) ** 2).reshape(B, -1)


def contrastive(b: Batch) -> Tensor:
    image, text = F.normalize(b.scores, dim=-1), F.normalize(b.logits[:, 0, :10], dim=-1)
    similarity = image @ text.T / 0.07
    labels = torch.arange(B)
    return (F.cross_entropy(similarity, labels) + F.cross_entropy(similarity.T, labels)) / 2


def preference(b: Batch) -> Tensor:
    chosen, rejected = b.logits[:, :3].mean((1, 2)), b.logits[:, 3:].mean((1, 2))
    return -F.logsigmoid(0.1 * (chosen - rejected))


def policy(b: Batch) -> Tensor:
    advantage = (b.weight - b.weight.mean()) / b.weight.std()
    return -(advantage * F.log_softmax(b.scores, -1)[torch.arange(B), b.labels]).mean()


def shuffled(b: Batch) -> Tensor:
    order = torch.tensor([2, 0, 3, 1])
    return F.mse_loss(b.pred[order], b.target[order])


def ssim_like(b: Batch) -> Tensor:
    difference = F.avg_pool2d(b.pred, 3, 1) - F.avg_pool2d(b.target, 3, 1)
    return difference.abs().mean((1, 2, 3))


def spectral(b: Batch) -> Tensor:
    return (torch.fft.rfft2(b.pred).abs() - torch.fft.rfft2(b.target).abs()).abs().mean((1, 2, 3))


Code = Callable[[Batch], Tensor]
CODES: dict[
    str, tuple[Code, Code | None]
] = {  # how a trainer writes it; (B,) by hand, None where there is no such thing
    "diffusers: mse": (lambda b: F.mse_loss(b.pred.float(), b.target.float(), reduction="mean"), squares),
    "diffusers: min-SNR": (
        lambda b: (F.mse_loss(b.pred, b.target, reduction="none").mean(dim=[1, 2, 3]) * b.weight).mean(),
        lambda b: squares(b) * b.weight,
    ),
    "diffusers: flow matching": (lambda b: torch.mean(flow(b), 1).mean(), lambda b: squares(b) * b.weight),
    "diffusers: prior preservation": (
        lambda b: F.mse_loss(b.pred[:2], b.target[:2]) + F.mse_loss(b.pred[2:], b.target[2:]),
        None,
    ),
    "kohya: mask multiplied in": (
        lambda b: ((b.pred - b.target) ** 2 * b.mask).mean([1, 2, 3]).mean(),
        lambda b: ((b.pred - b.target) ** 2 * b.mask).mean((1, 2, 3)),
    ),
    "kohya: huber": (
        lambda b: F.huber_loss(b.pred, b.target, delta=0.1),
        lambda b: per_example(lambda p, t: F.huber_loss(p, t, delta=0.1), b.pred, b.target),
    ),
    "kohya: pseudo-huber by hand": (
        lambda b: (torch.sqrt((b.pred - b.target) ** 2 + 0.01) - 0.1).mean(),
        lambda b: (torch.sqrt((b.pred - b.target) ** 2 + 0.01) - 0.1).mean((1, 2, 3)),
    ),
    "mask renormalised": (lambda b: ((b.pred - b.target) ** 2 * b.mask).sum() / b.mask.sum(), None),
    "mask renormalised per example": (
        lambda b: (((b.pred - b.target) ** 2 * b.mask).sum((1, 2, 3)) / b.mask.sum((1, 2, 3))).mean(),
        lambda b: ((b.pred - b.target) ** 2 * b.mask).sum((1, 2, 3)) / b.mask.sum((1, 2, 3)),
    ),
    "mse with weight=": (
        lambda b: F.mse_loss(b.pred, b.target, weight=b.mask.expand_as(b.pred)),
        lambda b: B * ((b.pred - b.target) ** 2 * b.mask).sum((1, 2, 3)) / b.mask.expand_as(b.pred).sum(),
    ),
    "l1 with weight=": (
        lambda b: F.l1_loss(b.pred, b.target, weight=b.mask.expand_as(b.pred)),
        lambda b: B * ((b.pred - b.target).abs() * b.mask).sum((1, 2, 3)) / b.mask.expand_as(b.pred).sum(),
    ),
    "smooth l1, accumulated": (
        lambda b: F.smooth_l1_loss(b.pred, b.target) / 8,
        lambda b: per_example(F.smooth_l1_loss, b.pred, b.target) / 8,
    ),
    "sum over the batch size": (
        lambda b: F.mse_loss(b.pred, b.target, reduction="sum") / B,
        lambda b: ((b.pred - b.target) ** 2).sum((1, 2, 3)),
    ),
    "video, frames in the batch": (
        lambda b: b.video.transpose(1, 2).reshape(B * 4, 3, 8, 8).square().mean(),
        lambda b: b.video.square().mean((1, 2, 3, 4)),
    ),
    "video, one more dimension": (
        lambda b: b.video.square().mean([1, 2, 3, 4]).unsqueeze(0).mean(),
        lambda b: b.video.square().mean((1, 2, 3, 4)),
    ),
    "two halves of the batch": (lambda b: flow(b).view(2, 2, -1).mean(), lambda b: squares(b) * b.weight),
    "a loop over the examples": (in_a_loop, squares),
    "a total that begins with zeros": (summed_up, squares),
    "spectral": (lambda b: spectral(b).mean(), spectral),
    "blurred l1": (lambda b: ssim_like(b).mean(), ssim_like),
    "classifier": (
        lambda b: nn.CrossEntropyLoss(label_smoothing=0.1)(b.scores, b.labels),
        lambda b: F.cross_entropy(b.scores, b.labels, label_smoothing=0.1, reduction="none"),
    ),
    "classifier, class weights": (
        lambda b: F.cross_entropy(b.scores, b.labels, weight=torch.linspace(0.1, 1, 10)),
        None,
    ),
    "log_softmax and nll": (
        lambda b: F.nll_loss(F.log_softmax(b.scores, dim=1), b.labels),
        lambda b: F.cross_entropy(b.scores, b.labels, reduction="none"),
    ),
    "focal": (lambda b: focal(b).mean(), focal),
    "binary labels": (
        lambda b: F.binary_cross_entropy_with_logits(b.scores, (b.scores.detach() > 0).float()),
        lambda b: F.binary_cross_entropy_with_logits(b.scores, (b.scores > 0).float(), reduction="none").mean(1),
    ),
    "binary labels, weighted afterwards": (
        lambda b: (F.binary_cross_entropy_with_logits(b.scores, (b.scores.detach() > 0).float()) * b.weight).mean(),
        None,
    ),
    "binary, probabilities": (
        lambda b: F.binary_cross_entropy(b.scores.sigmoid(), torch.ones(B, 10)),
        lambda b: F.binary_cross_entropy(b.scores.sigmoid(), torch.ones(B, 10), reduction="none").mean(1),
    ),
    "distillation": (
        lambda b: F.kl_div(
            F.log_softmax(b.scores / 2, -1), F.softmax(b.logits[:, 0, :10] / 2, -1), reduction="batchmean"
        ),
        lambda b: per_example(
            lambda s, t: F.kl_div(F.log_softmax(s / 2, -1), F.softmax(t / 2, -1), reduction="sum"),
            b.scores,
            b.logits[:, 0, :10],
        ),
    ),
    "language model": (
        lambda b: F.cross_entropy(b.logits[:, :-1].reshape(-1, 11), b.tokens[:, 1:].reshape(-1)),
        lambda b: F.cross_entropy(b.logits[:, :-1].mT, b.tokens[:, 1:], reduction="none").mean(1),
    ),
    "language model, padded": (
        lambda b: F.cross_entropy(b.logits.view(-1, 11), torch.where(torch.arange(24) < 3, -100, b.tokens.view(-1))),
        None,
    ),
    "preference (DPO)": (lambda b: preference(b).mean(), preference),
    "policy, normalised advantages": (policy, None),
    "contrastive": (contrastive, None),
    "cosine": (
        lambda b: (1 - F.cosine_similarity(b.pred.flatten(1), b.target.flatten(1))).mean(),
        lambda b: 1 - F.cosine_similarity(b.pred.flatten(1), b.target.flatten(1)),
    ),
    "VAE: reconstruction and KL": (lambda b: F.mse_loss(b.pred, b.target) + 0.1 * b.scores.square().mean(), None),
    "uncertainty weights": (lambda b: F.mse_loss(b.pred, b.target) * torch.exp(-b.scores[0, 0]) + b.scores[0, 0], None),
    "adversarial, real and fake": (
        lambda b: F.relu(1 - b.scores[:, 0]).mean() + F.relu(1 + b.scores[:, 1]).mean(),
        None,
    ),
    "shuffled": (shuffled, squares),
    "the largest errors": (lambda b: squares(b).topk(3)[0].mean(), None),
    "root of the mean": (lambda b: F.mse_loss(b.pred, b.target).sqrt(), None),
}


def answers() -> list[dict[str, Any]]:
    """Each code's answer beside the truth; raises AssertionError where a row is wrong."""
    rows, wrong = [], []
    for name, (code, truth) in CODES.items():
        b = batch()
        with capture_per_example_loss(B) as captured:
            loss = code(b)
        by_hand = None if truth is None else truth(b).detach()
        if by_hand is not None:
            torch.testing.assert_close(by_hand.mean(), loss.detach(), msg=f"{name}: the truth is wrong")
        found = captured.losses
        right = found is None or (by_hand is not None and torch.allclose(found, by_hand, rtol=1e-4, atol=1e-6))
        rows.append(
            {
                "code": name,
                "answer": "rows" if found is not None else f"None: {captured.reason}"[:100],
                "truth": "no rows" if by_hand is None else "rows",
                "verdict": "right"
                if right and (found is None) == (by_hand is None)
                else "not known"
                if right
                else "WRONG",
            }
        )
        wrong += [] if right else [name]
    assert not wrong, f"wrong rows: {wrong}"
    return rows


def main() -> None:
    options = arguments(__doc__)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    results = Results("capture", ["torch"], options)
    note = "CPU time of the forward pass and the loss; median of the differences in each round."
    results.table("What a step costs", cost(30 if options.quick else STEPS), note)
    rows = answers()
    known = sum(row["verdict"] == "right" for row in rows)
    results.table("Forty loss codes", rows, f"{known} of {len(rows)} as they truly are, the others None; none wrong.")
    results.finish()


if __name__ == "__main__":
    main()
