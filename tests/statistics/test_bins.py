"""loss_logging/statistics/bins.py, through the SQL that fills the bins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import assert_histogram, examples, record, run_statistics, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loss_logging.records.log import RecordLog
from loss_logging.reports.report import Histogram
from loss_logging.statistics import bins
from loss_logging.statistics.summaries import _fine_bins

LARGEST = float(np.finfo(np.float64).max)
SMALLEST = 5e-324


def fine(losses: list[float], folder: Path) -> tuple[Any, Any]:
    """The fine bins of the losses and their counts."""
    log = RecordLog(folder)
    write(log, [record(path=str(i), loss=loss) for i, loss in enumerate(losses)])
    numbers = run_statistics(log)
    numbers.advance(0)
    found = _fine_bins(numbers.queries)[None]
    numbers.close()
    return found


def shown(losses: list[float], folder: Path) -> Histogram:
    return bins.histogram(*fine(losses, folder), min(losses), max(losses))


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@example([LARGEST])
@example([1e300, 1e-300])
@example([LARGEST, SMALLEST])
@example([LARGEST, -LARGEST])
@example([-LARGEST, -LARGEST])
@example([-SMALLEST, SMALLEST])
@example([SMALLEST])
@example([SMALLEST, 3 * SMALLEST])
@example([0.0])
@example([0.0, 1.0])
@example([-1e17, -1e17])
@example([-1.0, float(np.nextafter(-1, 0))])
@example([1.0, float(np.nextafter(1, 2))])
def test_any_finite_losses_have_a_histogram(tmp_path_factory: pytest.TempPathFactory, losses: list[float]) -> None:
    """Edges are finite and ascend, hold every loss, and the counts add up, whatever the losses are."""
    histogram = shown(losses, tmp_path_factory.mktemp("log"))
    assert_histogram(msgspec.to_builtins(histogram), len(losses))
    assert histogram.edges[0] <= min(losses)
    assert histogram.edges[-1] >= max(losses)


@pytest.mark.parametrize("spread", [0.01, 1.0, 20.0])
def test_counts_of_positive_losses_are_exact(tmp_path: Path, spread: float) -> None:
    """NumPy counts the same numbers between the same edges."""
    losses = np.random.default_rng(1).lognormal(-2, spread, 5000)
    histogram = shown(losses.tolist(), tmp_path)
    assert histogram.counts == np.histogram(losses, histogram.edges)[0].tolist()
    assert len(histogram.counts) >= 3


def test_a_few_tiny_losses_do_not_squeeze_the_rest(tmp_path: Path) -> None:
    """Under a thousandth of the losses near zero, the others still spread over many bins."""
    losses = np.random.default_rng(2).uniform(0.5, 1.0, 5000)
    histogram = shown([*losses, 0.0, 1e-30, 1e-12], tmp_path)
    assert histogram.counts == np.histogram([*losses, 0, 1e-30, 1e-12], histogram.edges)[0].tolist()
    assert sum(count > 50 for count in histogram.counts) >= 30


def test_negative_losses_count_where_they_are(tmp_path: Path) -> None:
    """Linear bins are right up to the width of a fine bin."""
    losses = np.random.default_rng(3).normal(0, 1, 5000)
    histogram = shown(losses.tolist(), tmp_path)
    cumulative = np.cumsum(histogram.counts)
    for edge, count in zip(histogram.edges[1:], cumulative, strict=True):
        slack = abs(edge) * 0.011
        assert (losses <= edge - slack).sum() <= count <= (losses <= edge + slack).sum()


@settings(deadline=None, max_examples=examples(60))
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50),
    st.floats(0, 1),
)
@example([0.1, 0.2, 0.9, 1.0], 0.5)
@example([0.1, 0.2, 0.9, 1.0], 0.99)
@example([3.0, 3.0], 1e-05)
def test_binned_quantiles_are_within_a_bin(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], at: float
) -> None:
    """A quantile read off bins is between two neighbouring losses, as NumPy's, each of them off by 1.1% at most."""
    counted = fine(losses, tmp_path_factory.mktemp("log"))
    (quantile,) = bins.quantiles(*counted, [at], min(losses), max(losses))
    ordered = np.sort(losses)
    rank = at * (len(losses) - 1)
    low, high = ordered[int(np.floor(rank))], ordered[int(np.ceil(rank))]
    share = rank - np.floor(rank)
    slack = 0.011 * ((1 - share) * abs(low) + share * abs(high)) + SMALLEST * 64
    assert min(losses) <= quantile <= max(losses)
    assert quantile / 2 == pytest.approx(((1 - share) * low + share * high) / 2, abs=slack)


def test_quantiles_of_many_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit those of a dataset are binned, and within 1.1% of NumPy's; those of smaller ones are exact, of
    several that are larger together, too."""
    monkeypatch.setattr("loss_logging.statistics.summaries._EXACT_RECORDS", 1000)
    rng = np.random.default_rng(4)
    losses = {
        "large": rng.lognormal(-1, 2, 20_000),
        "full": rng.lognormal(-1, 2, 1000),
        "over": rng.lognormal(-1, 2, 1001),
        "small": np.array([0.1, 0.2, 0.9, 1.0]),
        "half": rng.normal(size=500),
        "one": np.array([0.3]),
        "equal": np.full(600, 0.1),
        "none": np.array([np.nan]),
    }
    log = RecordLog(tmp_path)
    write(log, [record(str(i), loss, name) for name, some in losses.items() for i, loss in enumerate(some.tolist())])
    numbers = run_statistics(log)
    numbers.advance(0)
    summaries = numbers.summaries(1)
    for name, summary in summaries.items():
        chosen = np.concatenate(list(losses.values())) if name is None else losses[name]
        chosen = chosen[np.isfinite(chosen)]
        assert summary.quantile_method == ("binned" if len(chosen) > 1000 else "exact")
        found = list(summary.quantiles.values())
        if not len(chosen):
            assert set(found) == {None}
            continue
        expected = np.quantile(chosen, [float(q) for q in summary.quantiles]).tolist()
        assert found == pytest.approx(expected, rel=0.011 if len(chosen) > 1000 else 1e-12)
        assert summary.median == summary.quantiles["0.5"]
    assert summaries["small"].quantiles["0.5"] == pytest.approx(0.55)
    assert len(summaries) == 9
