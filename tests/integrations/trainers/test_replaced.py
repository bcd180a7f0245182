"""integrations/trainers/replaced.py"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loss_logging.integrations.trainers.replaced import replaced


def test_own_values_come_back_after_an_error() -> None:
    """Of every owner, whatever happens meanwhile."""
    first, second = SimpleNamespace(a=1), SimpleNamespace(a=2)
    with pytest.raises(KeyError), replaced((first, "a", 3), (second, "a", 4)):
        assert (first.a, second.a) == (3, 4)
        raise KeyError
    assert (first.a, second.a) == (1, 2)


def test_what_is_not_there_is_an_error_before_anything_is_replaced() -> None:
    """A trainer of another version is as it was."""
    first = SimpleNamespace(a=1)
    with pytest.raises(AttributeError, match="'b'"), replaced((first, "a", 2), (first, "b", 3)):
        raise AssertionError("it has begun")
    assert first.a == 1
