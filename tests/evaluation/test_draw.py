from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluated import PATHS, plain

from loss_logging import TrainConfig, evaluate_dataset
from loss_logging.evaluation.evaluate import Draw


def test_negative_timesteps_are_said_to_be(tmp_path: Path) -> None:
    """A timestep outside the scale counts to the nearest bin, and the report says how many there are."""

    def negative(batch: list[str]) -> Any:
        return [row | {"timestep": -1.0} for row in plain(batch)]

    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[], timestep_scale=1)
    report = evaluate_dataset(negative, [["a", "b"]], progress=False, config=config)
    assert report.warnings == [
        "2 timesteps lie outside 0 to 1 and count to the nearest bin; set timestep_scale in the configuration"
    ]


def test_draws_depend_on_the_item_alone() -> None:
    """Timesteps and noise are the same for an item in any batch and order, and differ between items, draws, seeds."""
    draw = Draw(seed=1, index=2, count=4)
    names = PATHS[:20]
    timesteps, noise = draw.timesteps(names), draw.noise((3, 2), names)
    assert timesteps.dtype == noise.dtype == torch.float32
    assert timesteps.shape == (20,)
    assert noise.shape == (20, 3, 2)
    order = random.Random(0).sample(range(20), 20)
    mixed = [names[i] for i in order]
    assert torch.equal(draw.timesteps(mixed), timesteps[order])
    assert torch.equal(draw.noise((3, 2), mixed), noise[order])
    assert torch.equal(draw.noise((3, 2), names[5:6])[0], noise[5])
    torch.manual_seed(5)
    assert torch.equal(Draw(1, 2, 4).noise((3, 2), names), noise)
    for other in (Draw(2, 2, 4), Draw(1, 3, 4)):
        assert not torch.isclose(other.noise((3, 2), names), noise).any()
        assert not torch.isclose(other.timesteps(names) % 0.25, timesteps % 0.25, atol=1e-6).any()
    assert len(set(timesteps.tolist())) == 20
    assert draw.noise((), ["a", "\ud800"]).shape == (2,)


def test_draws_leave_the_global_generator_alone() -> None:
    """Evaluation in the middle of training does not change what training draws next."""
    state = torch.get_rng_state()
    Draw(0, 0, 1).noise((4,), ["a"])
    Draw(0, 0, 1).timesteps(["a"])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_draws_are_stratified(count: int) -> None:
    """Draw i of n lies in its n-th of [0, 1) for every item, evenly within it; the noise is standard normal."""
    for index in (0, count // 2, count - 1):
        timesteps = Draw(0, index, count).timesteps(PATHS * 5).numpy()
        assert (timesteps >= np.float32(index / count)).all()
        assert (timesteps < np.float32((index + 1) / count)).all()
        inside = timesteps * count - index
        assert inside.mean() == pytest.approx(0.5, abs=0.1)
    noise = Draw(0, 0, 1).noise((50,), PATHS)
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
