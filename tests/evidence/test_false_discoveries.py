"""loss_logging/evidence/false_discoveries.py"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from loss_logging.evidence.false_discoveries import false_discoveries

CHANCES = st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.5, 1.0])


@given(st.lists(CHANCES, min_size=1, max_size=50))
def test_figures_are_those_of_scipy(chances: list[float]) -> None:
    """For independent and dependent tests, with ties, 0 and 1."""
    p = np.array(chances)
    for dependent, method in ((False, "bh"), (True, "by")):
        expected = false_discovery_control(p, method=method)
        # The smallest numbers of all have no digits to agree in.
        np.testing.assert_allclose(false_discoveries(p, dependent=dependent), expected, rtol=1e-12, atol=1e-300)


def test_no_test_has_no_discovery() -> None:
    """An empty array gives an empty one."""
    assert false_discoveries(np.array([])).shape == (0,)
