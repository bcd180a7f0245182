"""What a step costs that compares its captions with others, and what the default of that costs a training.

    python -m benchmarks.paired_forward [--quick] [--json FILE]

A U-Net and a diffusion transformer with LoRA, and a small denoiser of which all weights are trained, each on one
thread. The time of the processor that the thread takes is counted, so that other programs matter little; the ways take
turns step by step. Texts are encoded already, as in a trainer that caches them: where it does not, encoding another
caption comes on top.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.table import Results, arguments
from loss_logging import LossLogger, TrainConfig, per_example_loss
from loss_logging.cli.demo.model import CaptionedFlow
from loss_logging.evidence.rivals import Rivals

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor, list[int], list[str]]
"""Noisy (B, ...), target (B, ...), timesteps (B,), items and their captions."""

ITEMS = 10_000
DEFAULT = TrainConfig(job_name="default", save_root=".").paired_fraction
SHARES = (0.25, 0.08, DEFAULT)
TEXT = 128
"""Width of an encoded text; it has 77 tokens."""
BLOCKS = 5
PAIRED = "logged and paired"


class LoRA(nn.Module):
    """A linear layer, frozen, and what is trained beside it."""

    def __init__(self, layer: nn.Linear, rank: int = 8) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, hidden: Tensor) -> Any:
        return self.layer(hidden) + self.up(self.down(hidden))


class Denoiser(nn.Module):
    """What is trained, from noisy pictures, timesteps and captions to a prediction."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], batch: int) -> None:
        super().__init__()
        self.model, self.shape, self.batch = model, shape, batch
        self.encoded = {f"number {i} of many": encoded for i, encoded in enumerate(torch.randn(10, 77, TEXT))}
        self.encoded[""] = torch.zeros(77, TEXT)

    def forward(self, noisy: Tensor, timesteps: Tensor, captions: Sequence[str]) -> Tensor:
        if isinstance(self.model, CaptionedFlow):
            return self.model(noisy, timesteps / 1000, captions)
        text = torch.stack([self.encoded[caption] for caption in captions])
        found: Tensor = self.model(noisy, timestep=timesteps, encoder_hidden_states=text, return_dict=False)[0]
        return found


def denoisers() -> dict[str, Callable[[], Denoiser]]:
    """Those that are measured."""
    from diffusers import PixArtTransformer2DModel, UNet2DConditionModel

    def unet() -> Denoiser:
        model = UNet2DConditionModel(
            sample_size=16,
            layers_per_block=1,
            block_out_channels=(64, 128),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=TEXT,
            attention_head_dim=4,
            norm_num_groups=8,
        )
        return Denoiser(_with_lora(model), (4, 16, 16), 8)

    def transformer() -> Denoiser:
        model = PixArtTransformer2DModel(
            sample_size=16,
            num_attention_heads=4,
            attention_head_dim=48,
            out_channels=4,
            num_layers=8,
            cross_attention_dim=192,
            caption_channels=TEXT,
            use_additional_conditions=False,
        )
        return Denoiser(_with_lora(model), (4, 16, 16), 8)

    return {
        "U-Net, LoRA": unet,
        "transformer, LoRA": transformer,
        "small denoiser, all weights": lambda: Denoiser(CaptionedFlow(1024), (64,), 64),
    }


def _with_lora(model: nn.Module) -> nn.Module:
    """Frozen, with LoRA on the queries, keys and values of its attention."""
    model.requires_grad_(False)
    for module in [*model.modules()]:
        for name, layer in [*module.named_children()]:
            if name in ("to_q", "to_k", "to_v") and isinstance(layer, nn.Linear):
                setattr(module, name, LoRA(layer))
    return model


def draw(model: Denoiser) -> Batch:
    """A batch of noise: what is learnt does not matter."""
    items = torch.randint(ITEMS, (model.batch,)).tolist()
    noisy, target = torch.randn(2, model.batch, *model.shape)
    captions = [f"number {item % 10} of many" for item in items]
    return noisy, target, torch.randint(1000, (model.batch,)).float(), items, captions


class Steps:
    """The steps of one model, each way with its own spent time.

    Args:
        model: is trained.
        folder: where loggers write.
        rivals: the file of every item's rival.
    """

    def __init__(self, model: Denoiser, folder: str, rivals: str) -> None:
        self.model = model
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        self.optimizer = torch.optim.AdamW(trained)
        self.spent: defaultdict[str, list[float]] = defaultdict(list)
        common: dict[str, Any] = {"save_root": folder, "loggers": [], "rivals": rivals}
        self.off, self.on = (
            LossLogger(job_name=f"pairs-{share}-{len(trained)}", paired_fraction=share, **common) for share in (0, 1)
        )

    def turn(self, step: int) -> None:
        """A step of each way."""
        batch = draw(self.model)
        other = [f"number {(item + 1) % 10} of many" for item in batch[3]]
        half = self.model.batch // 2
        self._timed("step", lambda: self._train(batch, batch[4]))
        self._timed("no_grad", lambda: self._forward(torch.no_grad(), batch, other, self.model.batch))
        self._timed("inference_mode", lambda: self._forward(torch.inference_mode(), batch, other, self.model.batch))
        self._timed("half of the batch", lambda: self._forward(torch.no_grad(), batch, other, half))
        self._timed("both in one forward", lambda: self._train(batch, [*batch[4], *other]))
        self._timed("logged", lambda: self._logged(self.off, step, batch))
        self._timed(PAIRED, lambda: self._logged(self.on, step, batch))

    def _timed(self, way: str, work: Callable[[], object]) -> None:
        start = time.thread_time()
        work()
        self.spent[way].append(time.thread_time() - start)

    def _forward(self, mode: AbstractContextManager[Any], batch: Batch, captions: list[str], rows: int) -> None:
        noisy, target, timesteps, *_ = batch
        with mode:
            per_example_loss((self.model(noisy[:rows], timesteps[:rows], captions[:rows]) - target[:rows]) ** 2)

    def _train(self, batch: Batch, captions: list[str]) -> Tensor:
        """A step on the batch with its own captions, which come first; any others only share the forward."""
        noisy, target, timesteps, *_ = batch
        times = len(captions) // len(noisy)
        found = self.model(torch.cat([noisy] * times), timesteps.repeat(times), captions)[: len(noisy)]
        losses = (found - target) ** 2
        self.optimizer.zero_grad()
        losses.mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return losses

    def _logged(self, losses: LossLogger, step: int, batch: Batch) -> None:
        noisy, target, timesteps, items, captions = batch
        names = [f"{item}.png" for item in items]
        rivals, against = None, None
        with losses.paired_forward(step, self.model) as compared:
            if compared:
                rivals = losses.rivals_of(names, "d") if compared == "rival" else [""] * len(names)
                against = per_example_loss((self.model(noisy, timesteps, rivals) - target) ** 2)
        own = per_example_loss(self._train(batch, captions))
        common: dict[str, Any] = {"paths": names, "datasets": "d", "captions": captions}
        losses.log_batch(step, own, losses_rival=against, rivals=rivals, **common)

    def more(self, way: str, than: str, *, part: float = 1.0, added: bool = False) -> str:
        """How much of a step ``way`` costs: the median of all steps, and the lowest and highest of a block of them.

        Args:
            way, than: what was timed; ``added`` says that ``way`` comes on top of a step, and is not a step itself.
            part: of the steps that are such.
        """
        ways, steps = (np.array_split(np.array(self.spent[name][2:]), BLOCKS) for name in (way, than))
        blocks = [float(np.median(a) / np.median(b)) for a, b in zip(ways, steps, strict=True)]
        whole = float(np.median(np.concatenate(ways)) / np.median(np.concatenate(steps)))
        low, middle, high = (part * (each - (not added)) for each in (min(blocks), whole, max(blocks)))
        return f"{middle:.1%} ({100 * low:.1f}..{high:.1%})"


def main() -> None:
    options = arguments(__doc__)
    results = Results("paired forward", ["torch", "diffusers"], options)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pairs, trainings = list[dict[str, Any]](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "rivals.parquet"))
        Rivals({("d", f"{i}.png"): (f"number {(i + 1) % 10} of many",) for i in range(ITEMS)}).save(file)
        for name, make in denoisers().items():
            steps = Steps(make(), folder, file)
            for step in range(12 if options.quick else 60):
                steps.turn(step)
            steps.off.close()
            steps.on.close()
            about = {"model": name, "weights": f"{sum(w.numel() for w in steps.model.parameters()) / 1e6:.1f} million"}
            ways = {
                way: steps.more(way, "step", added=True) for way in ("no_grad", "inference_mode", "half of the batch")
            } | {"both in one forward, with gradients": steps.more("both in one forward", "step")}
            pairs.append(about | {"ms a step": float(np.median(steps.spent["step"])) * 1e3} | ways)
            costs = {f"{share:.0%} of the steps": steps.more(PAIRED, "logged", part=share) for share in SHARES}
            trainings.append(about | {"a paired step": steps.more(PAIRED, "logged")} | costs)
    note = "In % of a step: median of all, lowest..highest median of a fifth of them."
    results.table("The losses of a batch with another caption, on top of a step", pairs, note)
    note = (
        f"Logged with and without pairs, by turns with the empty caption and a rival's; {DEFAULT:.0%} is the default."
    )
    results.table("What pairs cost a training, in % of a step", trainings, note)
    results.finish()


if __name__ == "__main__":
    main()
