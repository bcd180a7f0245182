from __future__ import annotations

import random
from typing import Any

import pytest
from evaluated import PATHS, batches, compute, plain

from loss_logging import evaluate_dataset
from loss_logging.evaluation.evaluate import Draw


def test_records_in_another_order() -> None:
    """A record says what it is about: the order in which a call returns them changes nothing."""

    def shuffles(batch: dict[str, Any], draw: Draw) -> Any:
        rows = [row | {"loss_empty": 0.5, "timestep": draw.index / 4} for row in plain(batch["paths"])]
        return random.Random(len(batch["paths"]) * draw.index).sample(rows, len(rows))

    def in_order(batch: dict[str, Any], draw: Draw) -> Any:
        return sorted(shuffles(batch, draw), key=lambda row: batch["paths"].index(row["path"]))

    first, second = (
        evaluate_dataset(fn, batches(PATHS, 16), draws=4, paired=True, progress=False) for fn in (shuffles, in_order)
    )
    assert first.datasets == second.datasets
    assert (first.worst, first.global_) == (second.worst, second.global_)


@pytest.mark.parametrize("shown", [True, False])
def test_progress_on_standard_error_only_when_asked(shown: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """A bar on stderr, or not a character anywhere."""
    evaluate_dataset(compute, batches(PATHS, 50), progress=shown)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("200/200" in err and "item" in err) if shown else err == ""
