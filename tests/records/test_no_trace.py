"""loss_logging/records/no_trace.py, and the two methods of LossLogger that use it."""

from __future__ import annotations

import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from loss_logging import LossLogger, per_example_loss, read_report
from loss_logging.records.no_trace import no_trace


def make(folder: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "run", "save_root": folder, "loggers": [], "reporter": "inline"}
    return LossLogger(**(defaults | options))


# --- which steps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 1.0])
def test_the_share_of_paired_steps(tmp_path: Path, fraction: float) -> None:
    """About the share that was asked for, at no regular pace, the same ones for a seed, others for another."""
    losses, again = (make(tmp_path, paired_fraction=fraction, seed=3) for _ in range(2))
    steps = [step for step in range(4000) if losses.is_paired_step(step)]
    assert len(steps) == pytest.approx(4000 * fraction, abs=4 * (4000 * fraction * (1 - fraction)) ** 0.5)
    assert steps == [step for step in range(4000) if again.is_paired_step(step)]
    if 0 < fraction < 1:
        assert len(set(np.diff(steps))) > 5
        other = make(tmp_path, paired_fraction=fraction, seed=4)
        assert steps != [step for step in range(4000) if other.is_paired_step(step)]


@pytest.mark.parametrize("off", [{"log_per_example": False}, {"log_per_example": False, "log_per_dataset": False}])
def test_no_pairs_where_nobody_looks_at_items(tmp_path: Path, off: dict[str, bool]) -> None:
    """Where no item is reported, the extra forward is not worth it on any step."""
    losses = make(tmp_path, paired_fraction=1, **off)
    assert not losses.is_paired_step(1)
    with losses.paired_forward(1) as wanted:
        assert not wanted


# --- no trace -------------------------------------------------------------------------------------------------------


class Denoiser(nn.Module):
    """Dropout in it, and batch norm, whose buffers a forward in training changes."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 16)
        self.layers = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32), nn.SiLU(), nn.Dropout(0.3), nn.Linear(32, 16), nn.Dropout(0.1)
        )

    def forward(self, noisy: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(noisy + self.words(words))
        return result


def train(folder: Path, paired: float | None, autocast: bool, steps: int = 30) -> tuple[dict[str, Any], list[Any]]:
    """The weights and buffers after a few steps, and what each generator gives then."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with make(folder, paired_fraction=paired or 0.0, seed=1) as losses:
        for step in range(1, steps + 1):
            images, words, noise = torch.rand(8, 16), torch.randint(1, 5, (8,)), torch.randn(8, 16)
            losses_empty = None
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                if paired is not None:
                    with losses.paired_forward(step, model) as wanted:
                        if wanted:
                            random.random(), np.random.rand(), torch.rand(3)
                            empty = model(images + noise, torch.zeros_like(words))
                            losses_empty = per_example_loss((empty - noise) ** 2)
                loss = (model(images + noise, words) - noise) ** 2
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            names = {"paths": [f"{i}" for i in range(8)], "datasets": "d", "captions": ["a cat"] * 8}
            losses.log_batch(step, per_example_loss(loss), losses_empty=losses_empty, **names)
        path = losses.save_step(steps).result()
    assert path is not None
    pairs = read_report(path).datasets["d"].paired_items
    assert pairs is not None
    assert pairs.unpaired == (0 if paired else 8)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return state, [random.random(), np.random.rand(), torch.rand(3).tolist()]


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_training_is_the_same_to_the_bit(tmp_path: Path, fraction: float, autocast: bool) -> None:
    """With paired forwards or without: weights, optimiser steps, batch norm and every generator end up the same."""
    with_pairs, drawn = train(tmp_path / "with", fraction, autocast)
    without, drawn_too = train(tmp_path / "without", None, autocast)
    assert drawn == drawn_too
    assert with_pairs.keys() == without.keys()
    for name, value in without.items():
        assert torch.equal(with_pairs[name], value), name


def test_both_forwards_drop_the_same(tmp_path: Path) -> None:
    """Right before the step's own forward, the paired one sees the same dropout: equal captions have equal losses."""
    model = nn.Sequential(nn.Linear(16, 64), nn.Dropout(0.5), nn.Linear(64, 16))
    noisy = torch.randn(8, 16)
    with make(tmp_path, paired_fraction=1).paired_forward(1, model) as wanted:
        assert wanted
        before = model(noisy)
        assert not before.requires_grad
    after = model(noisy)
    assert after.requires_grad
    assert torch.equal(before, after)


def test_an_error_inside_restores_too() -> None:
    """A forward that raises leaves generators, buffers and gradient mode as they were."""
    model = nn.BatchNorm1d(3)
    mean, states = model.running_mean.clone(), (random.getstate(), torch.get_rng_state())  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="out of memory"), no_trace(model):
        model(torch.randn(4, 3) + random.random())
        raise RuntimeError("out of memory")
    assert torch.equal(model.running_mean, mean)  # type: ignore[arg-type]
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert torch.is_grad_enabled()
