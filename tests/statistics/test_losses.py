"""loss_logging/statistics/losses.py"""

from __future__ import annotations

import numpy as np
import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.statistics.losses import empty_summary, grouped, summary_of


@settings(deadline=None, max_examples=examples(100))
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 9))
def test_equal_losses_are_their_mean_and_do_not_deviate(loss: float, n: int) -> None:
    """Whatever their sum rounds to, unless it overflows."""
    summary = summary_of(np.full(n, loss), n)
    if summary.mean is None:
        assert abs(loss) * n > 1e308
    else:
        assert (summary.mean, summary.std) == (loss, 0.0)


def test_no_finite_loss() -> None:
    """Records without one are counted and have no figures."""
    summary = summary_of(np.empty(0), 3)
    assert (summary.count, summary.non_finite, summary.mean, summary.median) == (3, 3, None, None)
    assert summary.quantiles == empty_summary().quantiles


@pytest.mark.parametrize("groups", [1, 3, 2**16, 2**16 + 5])
def test_groups_are_the_losses_of_each_place(groups: int) -> None:
    """Ascending, for places without a loss too, and however many places there are."""
    rng = np.random.default_rng(groups)
    places = rng.integers(0, groups, 1000)
    places[-1] = groups - 1
    losses = rng.normal(size=1000)
    every, parts = grouped(places, losses, groups)
    assert len(parts) == groups
    assert np.concatenate(parts).tolist() == every.tolist()
    for place in {0, *places[-50:].tolist()}:
        assert parts[place].tolist() == sorted(losses[places == place].tolist())
