from __future__ import annotations

import pytest

from loss_logging.errors import ConfigError
from loss_logging.support.names import load, near_miss


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("math", "a part is missing"),
        (":sqrt", "a part is missing"),
        ("no_such_module:f", "No module named"),
        ("math:sqr", "no attribute 'sqr'"),
        ("math:pi", "'math:pi' is a float"),
    ],
)
def test_what_cannot_be_called_is_said(reference: str, said: str) -> None:
    """The error names the place, what was given and what is allowed."""
    with pytest.raises(ConfigError, match=said) as error:
        load(reference, "$.place")
    assert str(error.value).startswith("$.place: ")
    assert "allowed: a function by its name" in str(error.value)


def test_methods_are_found_by_their_dots() -> None:
    """What stands behind the colon may be inside a class."""
    assert load("collections:OrderedDict.fromkeys", "$")("ab") == {"a": None, "b": None}


def test_a_near_miss_is_suggested_and_nothing_else() -> None:
    """Also of what is no text."""
    assert near_miss("tensorbord", ["wandb", "tensorboard"]) == "; did you mean tensorboard?"
    assert near_miss(17, ["wandb", "tensorboard"]) == ""
