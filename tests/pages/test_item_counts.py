from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.pages.item_counts import ItemCounter, ItemCounts, count_items


def batch(n: int = 40, **columns: object) -> pa.RecordBatch:
    rng = np.random.default_rng(0)
    figures = {
        "dataset": [("cats", "dogs")[i % 2] for i in range(n)],
        "path": [f"{i}.png" for i in range(n)],
        "count": [5] * n,
        "non_finite": [1] * n,
        "average_loss": (rng.random(n) + 1).tolist(),
        "hard": (rng.normal(size=n) * 0.1).tolist(),
        "std_z": [0.5] * n,
        "n_paired": [4] * n,
        "caption_mismatch": [0.0] * n,
        "standard_error": [0.1] * n,
    }
    return pa.RecordBatch.from_pydict(figures | columns)


@given(st.lists(st.integers(1, 39), max_size=3))
def test_it_does_not_matter_how_items_are_cut_into_batches(cuts: list[int]) -> None:
    """The counts are those of all items, and the batches pass by as they are."""
    whole, places = batch(), [0, *sorted(set(cuts)), 40]
    parts = [whole.slice(a, b - a) for a, b in itertools.pairwise(places)]
    counter = ItemCounter()
    assert pa.Table.from_batches(list(counter.through(parts))) == pa.Table.from_batches([whole])
    assert counter.counts() == count_items([whole])
    assert count_items([]) == ItemCounts()


def test_sums_and_means_are_those_of_numpy() -> None:
    """Items count by their finite records in the mean of all, and one by one in that of their dataset."""
    whole = batch()
    counts = count_items([whole])
    losses = np.array(whole["average_loss"].to_pylist())
    assert (counts.items, counts.records, counts.non_finite, counts.decided) == (40, 200, 40, 40)
    assert counts.mean == pytest.approx(losses.mean())
    n, mean, variance = counts.averages["cats"]
    assert (n, mean, variance) == pytest.approx((20, losses[::2].mean(), losses[::2].var(ddof=1)))


def test_captions_to_look_at_and_odd_images_are_beyond_chance() -> None:
    """Two standard errors above zero with enough pairs; a loss far above its dataset's, more than one deviation."""
    mismatch, pairs, hard = [0.0] * 40, [4] * 40, [0.0] * 40
    mismatch[0] = mismatch[1] = 0.3
    pairs[1] = 3
    hard[2] = 5.0
    counts = count_items([batch(caption_mismatch=mismatch, n_paired=pairs, hard=hard)])
    assert (counts.look, counts.odd, counts.decided, counts.with_verdicts) == (1, 1, 39, False)


def test_verdicts_of_the_report_decide_where_it_has_them() -> None:
    """They are counted as they are, however they are written, and two standard errors say nothing then."""
    verdicts = ["likely_wrong", "look at these", "no sign of it", None] * 10
    counts = count_items([batch(verdict=verdicts, caption_mismatch=[0.9] * 40)])
    assert (counts.likely, counts.look, counts.with_verdicts) == (10, 10, True)


def test_a_verdict_counts_as_a_comparison_without_pairs() -> None:
    """Pictures give it before any loss does."""
    verdicts = ["very likely wrong"] * 2 + [None] * 38
    counts = count_items([batch(verdict=verdicts, n_paired=[0] * 40)])
    assert (counts.decided, counts.likely) == (2, 2)
