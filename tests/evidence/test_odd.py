"""Odd images and near-duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evidence import digits

from loss_logging.errors import ConfigError
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.odd import near_duplicates, odd_images


def test_both_ends_are_found_and_named() -> None:
    """Noise is hard, blur is easy."""
    rng = np.random.default_rng(0)
    hard = np.concatenate([rng.normal(0, 0.3, 900), rng.normal(3, 0.3, 50), rng.normal(-2, 0.3, 50)])
    found = odd_images(hard)
    assert found.end[900:950] == ["unusually hard"] * 50
    assert found.end[950:].count("unusually easy") >= 40
    assert sum(end is not None for end in found.end[:900]) <= 5


def test_ordinary_spread_has_no_odd_image() -> None:
    """20,000 items of pure noise, whichever seed."""
    for seed in range(5):
        assert set(odd_images(np.random.default_rng(seed).normal(size=20_000)).end) == {None}


def test_unknown_few_and_equal_values_are_not_odd() -> None:
    """NaN stays unknown; from few items nothing is learnt; where all are the same none stands out."""
    for hard in ([], [np.nan] * 50, [0.0, 9.0], [1.0] * 50):
        found = odd_images(np.array(hard))
        assert np.isnan(found.p_odd).all()
        assert set(found.end) <= {None}
    with pytest.raises(ConfigError, match=r"hard has the shape \(2, 2\); allowed: \(N,\)"):
        odd_images(np.zeros((2, 2)))


def test_near_duplicates_are_found_among_pictures_that_look_alike() -> None:
    """Brighter, noisier and shifted by a fraction of a pixel; digits of one kind are no duplicates."""
    rng = np.random.default_rng(0)
    pictures = digits.pictures()[:600]
    copies = [np.clip(pictures[place] * 0.97 + rng.normal(0, 0.01, (8, 8)), 0, 1) for place in range(40)]
    rows = picture_features([*pictures, *copies], progress=False).features
    found = near_duplicates(rows)
    assert sum([place, 600 + place] in found.groups for place in range(40)) >= 38
    assert len(found.groups) <= 42
    assert (found.nearest[600:] == np.arange(40)).mean() > 0.95


def test_one_picture_none_and_all_the_same() -> None:
    """One has no other; pictures that are all the same are one group."""
    assert near_duplicates(np.zeros((1, 3))).groups == []
    assert near_duplicates(np.zeros((0, 3))).groups == []
    (group,) = near_duplicates(np.zeros((4, 3))).groups
    assert group == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="near is 2; allowed: from 0 to 1"):
        near_duplicates(np.zeros((4, 3)), near=2)
