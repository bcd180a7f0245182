from __future__ import annotations

import msgspec
import pytest

from loss_logging.reports.paired_warnings import paired_warnings
from loss_logging.reports.report import PairedItems

BY_HEART = PairedItems(decided=200, undecided=0, unpaired=0, above_zero=1, median=-0.5, mad=0.1)


def test_a_model_that_knows_its_images_by_heart_is_told_of() -> None:
    """Where captions that tell images apart help nearly all of them a lot; the share is of the loss without one."""
    (sentence,) = paired_warnings({"cats": BY_HEART}, {"cats": 200})
    assert "the captions of cats lower the loss of all but 1 of 200 items, by a median of 40%" in sentence


@pytest.mark.parametrize(
    ("change", "distinct"),
    [({"decided": 99}, 99), ({"above_zero": 4}, 200), ({"median": -0.28}, 200), ({"median": None}, 200), ({}, 99)],
)
def test_what_is_ordinary_is_not(change: dict[str, float], distinct: int) -> None:
    """Few items, some that the caption hurts, a small gain, or captions that many items share."""
    assert paired_warnings({"cats": msgspec.structs.replace(BY_HEART, **change)}, {"cats": distinct}) == []


def test_an_empty_ranking_is_explained() -> None:
    """Only where no dataset has a decided item, and pictures have not judged it either."""
    open_ = PairedItems(decided=0, undecided=7, unpaired=0, above_zero=0, median=None, mad=None)
    (sentence,) = paired_warnings({"a": open_, "b": open_}, {})
    assert "undecided for all items: 14 have paired records" in sentence
    assert paired_warnings({"a": open_, "b": open_}, {}, judged=True) == []
    some = PairedItems(decided=1, undecided=0, unpaired=0, above_zero=1, median=0.1, mad=0.1)
    assert paired_warnings({"a": open_, "b": some}, {}) == []
