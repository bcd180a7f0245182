from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hard_items import hard_items
from helpers import examples, plain_edges, record, run_statistics, write
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.records.log import RecordLog
from loss_logging.statistics import timestep_bins


@settings(deadline=None, max_examples=examples(200))
@given(
    st.dictionaries(
        st.floats(allow_nan=False, allow_infinity=False, width=16),
        st.integers(1, 300),
        min_size=1,
        max_size=60,
    )
)
def test_bins_hold_about_as_many_each(counts: dict[float, int]) -> None:
    """Edges ascend and hold every value; each value is in one bin; plain Python makes the same ones of the timesteps;
    no bin of several values holds more than a twentieth too many."""
    values = sorted(counts)
    rows = [{"timestep": value} for value in values for _ in range(counts[value])]
    edges = timestep_bins.bins_of_timesteps(values, [counts[value] for value in values])
    assert edges == pytest.approx(plain_edges(rows, 1, enough=10**9))
    assert all(low < high for low, high in itertools.pairwise(edges))
    assert edges[0] <= values[0] <= values[-1] <= edges[-1]
    assert len(edges) <= 21
    assert not {*edges[1:-1]} & {*values}
    total = sum(counts.values())
    for low, high in itertools.pairwise(edges):
        inside = [value for value in values if low <= value <= high]
        if len(inside) > 1:
            assert sum(counts[value] for value in inside) < 2 * total / 20 + 2 * min(counts[value] for value in inside)


def test_bins_stay_as_the_first_timesteps_made_them(tmp_path: Path) -> None:
    """From the first block with enough on, bins stay; later timesteps elsewhere are in the nearest, and are counted."""
    log = RecordLog(tmp_path)
    rng = np.random.default_rng(12)
    write(log, [record(path=str(i), step=1 + i // 60, timestep=float(t)) for i, t in enumerate(rng.random(300))])
    numbers = run_statistics(log, timestep_scale=None)
    for step in range(1, 6):
        numbers.advance(step)
    curve = numbers.summaries(0)[None].loss_by_timestep
    assert curve is not None
    assert curve.counts == [15] * 20
    write(log, [record(path=str(i), step=6, timestep=float(t)) for i, t in enumerate(rng.random(200))])
    numbers.advance(6)
    assert numbers.timesteps_outside() is None
    write(log, [record(step=7, timestep=900.0)] * 40 + [record(step=7, timestep=-1.0)])
    numbers.advance(7)
    later = numbers.summaries(0)[None].loss_by_timestep
    assert later is not None
    assert later.edges == curve.edges
    assert sum(later.counts) == 541
    outside = numbers.timesteps_outside()
    assert outside is not None
    assert outside[0] >= 41
    assert outside[1:] == (curve.edges[0], curve.edges[-1])


@pytest.mark.parametrize("n", [1, 2, 5, 12, 300])
def test_no_timestep_that_made_the_bins_is_outside(tmp_path: Path, n: int) -> None:
    """However few there are, and whatever digits they have."""
    log = RecordLog(tmp_path)
    rng = np.random.default_rng(n)
    write(log, [record(path=str(i), step=1, timestep=float(t)) for i, t in enumerate(rng.random(n))])
    (numbers := run_statistics(log, timestep_scale=None)).advance(1)
    assert numbers.timesteps_outside() is None
    assert numbers.queries.rows("timesteps_outside") == [(0, n)]


def test_a_stated_scale_is_kept(tmp_path: Path) -> None:
    """Its bins are equal, whatever the timesteps are, and one record outside is said to be."""
    log = RecordLog(tmp_path)
    write(log, [record(step=1, timestep=t) for t in (0.0, 0.15, 1.0)])
    numbers = run_statistics(log)
    numbers.advance(1)
    assert numbers.timesteps_outside() is None
    write(log, [record(step=2, timestep=1.5)])
    numbers.advance(2)
    curve = numbers.summaries(0)[None].loss_by_timestep
    assert curve is not None
    assert (curve.edges[0], curve.edges[3], curve.edges[-1]) == (0.0, 0.15, 1.0)
    assert (curve.counts[0], curve.counts[3], curve.counts[-1]) == (1, 1, 2)
    assert numbers.timesteps_outside() == (1, 0.0, 1.0)


@pytest.mark.parametrize("timestep", [None, 0.5, 500, -1.0], ids=str)
def test_one_bin_where_timesteps_do_not_tell(tmp_path: Path, timestep: float | None) -> None:
    """Without timesteps, and with equal ones, z is that of the whole block."""
    losses = np.random.default_rng(9).lognormal(size=50)
    rows = [record(path=str(i), loss=float(loss), step=1, timestep=timestep) for i, loss in enumerate(losses)]
    hard = hard_items(rows, tmp_path)
    z = (losses - losses.mean()) / losses.std()
    assert [hard[str(i)] for i in range(50)] == pytest.approx((z / 6).tolist())


def _drawn(kind: str, random: np.random.Generator) -> np.ndarray:
    return {
        "uniform": lambda: random.uniform(size=2_000),
        "indices": lambda: random.integers(0, 1000, 2_000),
        "early indices": lambda: (1000 * random.beta(1, 6, 2_000)).astype(int),
        "shifted flow": lambda: 1000 / (1 + np.exp(-random.normal(0, 1, 2_000))),
        "EDM's sigmas": lambda: np.exp(random.normal(-1.2, 1.2, 2_000)),
        "a video model's sigmas": lambda: np.exp(random.normal(0.7, 1.6, 2_000)),
        "wide sigmas": lambda: np.exp(random.uniform(np.log(0.002), np.log(700), 2_000)),
        "mixed": lambda: np.append(random.uniform(size=600), random.integers(0, 1000, 1_400)),
    }[kind]()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "kind",
    [
        "uniform",
        "indices",
        "early indices",
        "shifted flow",
        "EDM's sigmas",
        "a video model's sigmas",
        "wide sigmas",
        "mixed",
    ],
)
def test_only_a_mixture_is_of_two_scales(kind: str, seed: int) -> None:
    """What trainers draw is no mixture, however wide it is."""
    values, counts = np.unique(_drawn(kind, np.random.default_rng(seed)).astype(float), return_counts=True)
    edges = timestep_bins.bins_of_timesteps(values, counts)
    assert timestep_bins.are_of_two_scales(edges) == (kind == "mixed")
