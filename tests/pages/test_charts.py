from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown import report

from loss_logging.pages.charts import MOST_DATASETS, charts, history_block, most_points, picked, short, spread
from loss_logging.reports.report import LossReport


def at(step: int, count: int = 10, mean: float = 1.0) -> LossReport:
    """The report of a step after so many losses of a mean."""
    base = report(step=step)
    whole = msgspec.structs.replace(base.global_, count=count, mean=mean, non_finite=0)
    return msgspec.structs.replace(base, global_=whole)


@given(st.integers(1, 200), st.integers(2, 60))
def test_some_of_many_reports_are_spread_over_all(count: int, most: int) -> None:
    """The first and the last among them, in their order, each once."""
    reports = [at(step) for step in range(count)]
    steps = [one.job.step for one in spread(reports, most)]
    assert len(steps) == min(count, most)
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, count - 1)


def test_a_mean_between_save_steps_comes_from_the_means_of_the_whole_run() -> None:
    """10 losses of mean 1, then 20 of mean 1.5 in all: the 10 new ones have a mean of 2."""
    found = charts([at(1, 10, 1.0), at(2, 20, 1.5), at(3, 20, 1.5)])
    assert found["overall"]["n"] == [10, 10]
    assert found["overall"]["means"] == [1.0, 2.0]
    assert found["overall"]["places"] == [0, 1]
    assert found["saves"][0][0] == 1


def test_nothing_was_logged_yet() -> None:
    """A page without a report has charts without datasets, and nothing fails."""
    found = charts([])
    assert (found["datasets"], found["steps"], found["compared"]) == ({}, [], [])
    assert picked([]) == []


@pytest.mark.parametrize(("datasets", "points"), [(1, 400), (100, 237), (500, 47), (10_000, 47)])
def test_many_curves_have_fewer_points_each(datasets: int, points: int) -> None:
    """All of them together stay within what a page can carry."""
    assert most_points(datasets) == points
    assert most_points(datasets) * (min(datasets, MOST_DATASETS) + 1) <= 24_000


@given(st.floats(-1e300, 1e300) | st.sampled_from([float("nan"), float("inf")]), st.integers(1, 6))
def test_figures_are_shortened_and_no_more(value: float, digits: int) -> None:
    """Within half a digit of the last one that is kept; what is no number stays."""
    shown = short(value, digits)
    assert shown == pytest.approx(value, rel=10.0 ** (1 - digits), abs=1e-300, nan_ok=True)


def test_the_steps_of_an_item_are_whole() -> None:
    """However many digits they have; its losses have those that a chart shows."""
    record = {
        "dataset": "a",
        "path": "1.png",
        "step": 1_234_567,
        "timestep": 0.1,
        "loss": 0.123456789,
        "loss_empty": None,
    }
    block = history_block(pa.Table.from_pylist([record | {"of": 1}]))
    assert block["a"]["1.png"]["records"] == [[1_234_567, 0.1, 0.12346, None]]
