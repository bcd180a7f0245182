from __future__ import annotations

import numpy as np
import pytest

from loss_logging.evidence.pictures import picture_evidence
from loss_logging.evidence.planted import WrongCaptions, against_planted
from loss_logging.evidence.words import caption_words


def captioned(count: int, wrong: int) -> tuple[np.ndarray, list[str]]:
    """Features of two kinds of pictures, and captions of which the first few name the other kind."""
    rng = np.random.default_rng(0)
    kind = np.arange(count) % 2
    features = (rng.normal(size=(count, 8)) * 0.3 + 3 * kind[:, None]).astype(np.float32)
    named = np.where(np.arange(count) < wrong, 1 - kind, kind)
    return features, [f"a {('cat', 'dog')[one]} in the snow" for one in named]


@pytest.mark.parametrize("wrong", [0, 40])
def test_the_share_of_wrong_captions_is_found(wrong: int) -> None:
    """About as many as there are, none where there are none; most wrong ones are likely, and no right one is."""
    features, captions = captioned(400, wrong)
    found = against_planted(picture_evidence(features, caption_words(captions)))
    assert wrong / 800 <= found.share <= 0.03 + wrong / 200
    chance = np.nan_to_num(found.probability())
    assert (chance >= 0).all()
    assert (chance <= 1).all()
    if wrong:
        assert np.median(chance[:wrong]) > 0.8
        assert chance[wrong:].max() < 0.2


def test_a_chance_is_never_certain() -> None:
    """Of the most contradicted captions some are right ones of odd pictures, whatever the ratio says."""
    wrong = WrongCaptions(np.array([9.0]), np.array([1e9]), 0.1, np.array([True]))
    assert 0.9 < wrong.probability()[0] < 1
    assert WrongCaptions(np.array([9.0]), np.array([1e9]), 0.0, np.array([True])).probability().tolist() == [0.0]
