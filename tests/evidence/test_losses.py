from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.errors import ConfigError
from loss_logging.evidence.losses import FEWEST, LossEvidence, pooled


@pytest.mark.parametrize(
    ("mean", "n", "said"), [([0.1], [1, 2], "shapes"), ([[0.1]], [[4]], "shapes"), ([0.1], [-1], "n holds -1")]
)
def test_what_does_not_fit_is_refused(mean: list[float], n: list[int], said: str) -> None:
    """One number each for each item, and no negative counts."""
    with pytest.raises(ConfigError, match=said):
        LossEvidence(np.array(mean), np.array(n), np.array(mean))


@given(st.lists(st.tuples(st.floats(-2, 2), st.integers(0, 20), st.floats(0.01, 1)), min_size=1, max_size=8))
def test_pooled_records_are_a_weighted_mean(items: list[tuple[float, int, float]]) -> None:
    """Of two kinds, by their numbers of records; nothing pooled with nothing is unknown, with itself it is itself."""
    mean, n, error = (np.array(column, float) for column in zip(*items, strict=True))
    one = LossEvidence(np.where(n > 0, mean, np.nan), n, np.where(n > 0, error, np.nan))
    both = pooled([one, one])
    assert both.n.tolist() == (2 * n).tolist()
    assert np.array_equal(np.isnan(both.mean), n == 0)
    assert both.mean[n > 0] == pytest.approx(mean[n > 0])
    assert both.error[n > 0] == pytest.approx(error[n > 0] / 2**0.5)
    assert one.decided.tolist() == (n >= FEWEST).tolist()


def test_few_records_borrow_the_spread_of_all() -> None:
    """An item whose few records agree by chance is not made certain by that; one with many knows its own spread."""
    few = LossEvidence(np.array([0.3, *[0.0] * 9]), np.array([4, *[100] * 9]), np.array([1e-6, *[0.1] * 9]))
    many = LossEvidence(np.array([0.3, *[0.0] * 9]), np.array([400, *[100] * 9]), np.array([1e-6, *[0.1] * 9]))
    assert few.moderated()[0][0] < 2
    assert many.moderated()[0][0] > 20
    assert few.moderated()[1].tolist() == [7.0, *[103.0] * 9]
