from __future__ import annotations

import functools
from typing import Any

import pytest
from evaluated import batches, plain

from loss_logging.evaluation.computation import Computation


class Model:
    """A compute function that takes time to load."""

    loaded = 0

    def __init__(self, loss: float = 1.0) -> None:
        Model.loaded += 1
        self.loss = loss

    def __call__(self, batch: Any, draw: Any) -> list[dict[str, Any]]:
        paths = batch["paths"]
        return [{"path": path, "dataset": "d", "caption": "", "loss": self.loss + draw.index} for path in paths]


def test_a_class_is_called_once_and_a_function_is_taken_as_it_is() -> None:
    """With the arguments that functools.partial gives it; and only who has a parameter for the draw gets one."""
    before = Model.loaded
    computation = Computation(functools.partial(Model, loss=3.0), 0, 2, False)
    assert computation.takes_draw
    assert Model.loaded == before
    loaded = computation.loaded()
    assert Model.loaded == before + 1
    assert [record.loss for number in (0, 1) for record in loaded.records(batches(["a.png"], 1)[0], number)] == [3, 4]
    function = Computation(plain, 0, 1, False)
    assert not function.takes_draw
    assert function.loaded() is function


def test_pairs_are_asked_for() -> None:
    """A record without loss_empty is named, where it must have one."""
    with pytest.raises(ValueError, match=r"the record of 'a\.png' has no loss_empty"):
        Computation(plain, 0, 1, True).records(["a.png"], 0)
