"""tests/waiting.py, and tests that share what one of them makes."""

from __future__ import annotations

import os

import pytest
from waiting import wait_until


def test_the_first_true_value_is_returned() -> None:
    """A condition is asked until it has a value that is true."""
    values = iter([0, "", [], 7])
    assert wait_until(lambda: next(values), every=0.0) == 7


def test_what_never_happens_is_said_with_the_last_value() -> None:
    """The error shows what there was instead."""
    with pytest.raises(AssertionError, match=r"it did not happen within 0\.01 s; the last value was \[\]"):
        wait_until(list, seconds=0.01)


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there are no groups in one process")
@pytest.mark.xdist_group("seen")
def test_groups_share_a_worker(request: pytest.FixtureRequest) -> None:
    """pytest and pytest-xdist fit together: not all versions do, and what a group shares is then made twice, unseen."""
    assert request.node.nodeid.endswith("@seen")
