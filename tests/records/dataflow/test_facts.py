from __future__ import annotations

import pytest
import torch

from loss_logging.records.dataflow.facts import (
    Mean,
    Opaque,
    has_same_factor,
    has_same_rows,
    scaled,
    with_nothing_added,
)

ROWS = torch.tensor([1.0, 3.0])


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(2, 2.0), (0.5, 0.5), (torch.tensor(3.0), None), (torch.ones(2), "unknown"), ("2", "unknown")],
)
def test_a_multiple_of_a_mean_is_known_as_far_as_its_factor_is(factor: object, expected: object) -> None:
    """A number is a factor; a tensor of one element is one that nobody waits for; of anything else nothing is known."""
    found = scaled(Mean(ROWS), factor)
    assert (found.factor if found is not None else "unknown") == expected
    assert found is None or found.rows is ROWS


def test_a_factor_that_is_unknown_stays_so() -> None:
    """A number times what is not known is not known."""
    once = scaled(Mean(ROWS), torch.tensor(3.0))
    assert once is not None
    twice = scaled(once, 2)
    assert twice is not None
    assert twice.factor is None


def test_nothing_added_is_nothing() -> None:
    """The number zero; or a tensor, whose being zero is a condition that is looked at later."""
    mean = Mean(ROWS)
    assert with_nothing_added(mean, 0) is mean
    assert with_nothing_added(mean, 1) is None
    for value, holds in ((0.0, True), (1.0, False)):
        found = with_nothing_added(mean, torch.tensor(value))
        assert found is not None
        ((condition, why),) = found.conditions
        assert bool(condition) is holds
        assert "not zero" in why


def test_means_are_of_the_same_rows_or_not() -> None:
    """By the tensor itself, and not by what it holds."""
    assert has_same_rows(Mean(ROWS), Mean(ROWS, 2.0))
    assert not has_same_rows(Mean(ROWS), Mean(ROWS.clone()))
    assert not has_same_rows(Mean(ROWS), Opaque("it was sorted"))
    assert not has_same_factor(Mean(ROWS), Mean(ROWS, 2.0))
