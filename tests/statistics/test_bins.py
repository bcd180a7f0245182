"""loss_logging/statistics/bins.py, through the SQL that fills the bins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import assert_histogram, record, run_statistics, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loss_logging.records.log import RecordLog
from loss_logging.reports.report import Histogram
from loss_logging.statistics import bins
from loss_logging.statistics import run as statistics

LARGEST = float(np.finfo(np.float64).max)
SMALLEST = 5e-324


def fine(losses: list[float], folder: Path) -> tuple[Any, Any]:
    """The fine bins of the losses and their counts."""
    log = RecordLog(folder)
    write(log, [record(path=str(i), loss=loss) for i, loss in enumerate(losses)])
    numbers = run_statistics(log)
    numbers.advance(0)
    found = statistics._fine_bins(numbers._queries)[None]
    numbers.close()
    return found


def shown(losses: list[float], folder: Path) -> Histogram:
    return bins.histogram(*fine(losses, folder), min(losses), max(losses))


@settings(deadline=None, max_examples=40)
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


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50),
    st.floats(0, 1),
)
def test_binned_quantiles_are_within_a_bin(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], at: float
) -> None:
    """A quantile read off bins lies within 1.1% of a value between two neighbouring losses."""
    (quantile,) = bins.quantiles(*fine(losses, tmp_path_factory.mktemp("log")), [at])
    ordered = np.sort(losses)
    place = at * len(losses)
    low = ordered[max(0, int(np.ceil(place)) - 1)]
    high = ordered[min(len(losses) - 1, int(np.floor(place)))]
    assert min(low, high) - abs(low) * 0.011 <= quantile <= max(low, high) + abs(high) * 0.011


def test_binned_quantiles_of_many_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the report says "binned", and the quantiles are within 1.1% of NumPy's."""
    monkeypatch.setattr(statistics, "_EXACT_RECORDS", 1000)
    losses = np.random.default_rng(4).lognormal(-1, 2, 20_000)
    log = RecordLog(tmp_path)
    write(log, [record(path=str(i), loss=loss, dataset="ab"[i % 2]) for i, loss in enumerate(losses)])
    numbers = run_statistics(log)
    numbers.advance(0)
    for name, summary in numbers.summaries(1).items():
        chosen = {None: losses, "a": losses[::2], "b": losses[1::2]}[name]
        assert summary.quantile_method == "binned"
        expected = np.quantile(chosen, [float(q) for q in summary.quantiles])
        assert list(summary.quantiles.values()) == pytest.approx(expected.tolist(), rel=0.011)
        assert summary.median == summary.quantiles["0.5"]
