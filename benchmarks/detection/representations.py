"""Which features of pictures tell wrong captions: `pixels`, latents of an autoencoder, activations of a denoiser.

    python -m benchmarks.detection.representations [--sets NAME ...] [--seeds N] [--quick] [--json FILE]

The autoencoder (4 x 4 cells of 8 numbers) and the denoiser (flow matching, a tenth of the captions dropped) are small,
and are trained on the set itself, wrong captions included: no pretrained encoder takes part. Activations are those of
the denoiser's middle layer at three noise levels, in forwards with the empty caption, or with the item's own.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.detection.generation import fit
from benchmarks.detection.rankings import auroc, precision, spread
from benchmarks.detection.sets import SETS, CaptionedSet, load_set
from benchmarks.table import Results
from loss_logging.evidence.features import as_features, picture_features
from loss_logging.evidence.judge import VERDICTS, judge
from loss_logging.evidence.pictures import picture_evidence
from loss_logging.evidence.planted import calibrated
from loss_logging.evidence.words import caption_words

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

LEVELS = (0.2, 0.5, 0.8)
"""Of noise, from 0 to 1."""


class Autoencoder(nn.Module):
    """To 4 x 4 cells, as a latent diffusion model's, and back."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        halvings = side.bit_length() - 3  # 8 -> 1, 16 -> 2
        width = 32
        down: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
        up: list[nn.Module] = [nn.Conv2d(8, width, 3, padding=1), nn.SiLU()]
        for _ in range(halvings):
            down += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU()]
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
        self.encode = nn.Sequential(*down, nn.Conv2d(width, 8, 1))
        self.decode = nn.Sequential(*up, nn.Conv2d(width, channels, 3, padding=1))


def latents(data: CaptionedSet, seed: int, epochs: int = 20) -> Floats:
    """(N, 128): the codes of an autoencoder that is trained to give the pictures back."""
    torch.manual_seed(seed)
    images = torch.from_numpy(data.trained)
    channels = 3 if round((images.shape[1] / 3) ** 0.5) ** 2 * 3 == images.shape[1] else 1
    side = round((images.shape[1] / channels) ** 0.5)
    shaped = images.reshape(len(images), side, side, channels).permute(0, 3, 1, 2)
    model = Autoencoder(channels, side)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(64):
            code = model.encode(shaped[chosen])
            given = model.decode(code + 0.1 * torch.randn_like(code))
            loss = (given - shaped[chosen]).square().mean() + 1e-3 * code.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return as_features(model.encode(shaped), len(images), "latents")


def activations(model: Any, data: CaptionedSet, captions: list[str], seed: int) -> Floats:
    """(N, levels x width): of the middle layer, each noise level with the same noise for all."""
    images = torch.from_numpy(data.trained)
    seen: list[Tensor] = []
    hook = model.layers[len(model.layers) // 2].register_forward_hook(lambda *call: seen.append(call[-1]))
    noise = torch.randn(images.shape[1], generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for level in LEVELS:
            model((1 - level) * images + level * noise, torch.full((len(images),), level), captions)
    hook.remove()
    return as_features(torch.cat(seen, dim=1), len(images), "activations")


def represented(data: CaptionedSet, seed: int) -> dict[str, Floats]:
    """The set's pictures, by each kind of features."""
    torch.set_num_threads(1)
    model = fit(data.trained, data.captions, steps=600, seed=seed)
    pixels = picture_features(data.pictures, progress=False).features
    code = latents(data, seed)
    empty = activations(model, data, [""] * len(data.captions), seed)
    return {
        "pixels": pixels,
        "plain pixels": data.trained,
        "latents": code,
        "model, empty caption": empty,
        "model, own caption": activations(model, data, data.captions, seed),
        "pixels and latents": np.concatenate([_even(pixels), _even(code)], axis=1),
        "pixels and model": np.concatenate([_even(pixels), _even(empty)], axis=1),
    }


def _even(rows: Floats) -> Floats:
    """Of one size, so that two kinds count alike."""
    centred = rows - rows.mean(0)
    return np.asarray(centred / np.sqrt((centred**2).sum(1).mean()), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["digits", "lucide", "lucide moved", "fluent emoji"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a smoke test: digits, one seed")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.sets, options.seeds = ["digits"], 1
    results = Results("detection: representations", ["torch", "scikit-learn"], options)
    found: defaultdict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for name, seed in tqdm(list(product(options.sets, range(options.seeds))), unit="run"):
        data = load_set(name, seed=seed)
        for kind, features in represented(data, seed).items():
            seen = calibrated(picture_evidence(features, caption_words(data.captions), seed=seed, progress=False))
            first = np.array([verdict == VERDICTS[0] for verdict in judge(seen).verdict])
            figures = (
                precision(seen.score, data.wrong),
                auroc(seen.score, data.wrong),
                first.sum(),
                data.wrong[first].sum(),
            )
            found[name, kind].append(figures)
    rows = []
    for (name, kind), values in found.items():
        ranked, area, first, true = zip(*values, strict=True)
        row = {"set": name, "features": kind, "precision": spread(ranked), "AUROC": spread(area)}
        rows.append(row | {"in the first bin": float(np.mean(first)), "of them wrong": sum(true) / max(sum(first), 1)})
    results.table("Wrong captions found by pictures alone", rows, f"10% wrong, {options.seeds} seeds.")
    results.finish()


if __name__ == "__main__":
    main()
