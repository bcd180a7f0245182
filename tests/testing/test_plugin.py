"""The pytest plugin, run as an author of a backend runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = pytest.mark.xdist_group("plugin")  # whose Python is started once

Run: TypeAlias = Callable[..., tuple[int, str]]


def test_a_backend_that_does_not_exist_is_an_error(tmp_path: Path, run: Run) -> None:
    """A name with a typo is an error that says what is known."""
    status, output = run(tmp_path, "--loss-logging-backend", "tensorbord", "-k", "closing_twice")
    assert status == 1
    assert "did you mean tensorboard?" in output


@pytest.mark.parametrize(
    "name", ["tinny", "no_such_module:train", pytest.param("flawed_trainers:trian", marks=pytest.mark.long)]
)
def test_a_trainer_that_does_not_exist_is_an_error(name: str, tmp_path: Path, run: Run) -> None:
    """A name, a function or a module that is not there is an error that names it."""
    status, output = run(tmp_path, "--loss-logging-trainer", name, "-k", "weights")
    assert status != 0
    assert name.rpartition(":")[2] in output
