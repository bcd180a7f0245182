"""Digits with captions, right and wrong, and what the pictures say of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from loss_logging.evidence.features import picture_features
from loss_logging.evidence.pictures import PictureEvidence, picture_evidence
from loss_logging.evidence.planted import WrongCaptions, calibrated
from loss_logging.evidence.words import caption_words

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def features() -> Any:
    """The features of scikit-learn's 1,797 digits."""
    return picture_features(pictures(), progress=False).features


@cache
def pictures() -> list[Any]:
    """The digits, (8, 8) in [0, 1]."""
    from sklearn.datasets import load_digits

    return list(load_digits().images / 16)


@cache
def shown() -> Any:
    """What each picture shows, 0 to 9."""
    from sklearn.datasets import load_digits

    return load_digits().target


def said(share: float, seed: int = 0) -> tuple[Any, Any]:
    """The digit that each caption names, and which captions are wrong: a share of all."""
    rng = np.random.default_rng(seed)
    wrong = np.isin(np.arange(len(shown())), rng.permutation(len(shown()))[: int(share * len(shown()))])
    return np.where(wrong, (shown() + rng.integers(1, 10, len(wrong))) % 10, shown()), wrong


def captions(digits: Any) -> list[str]:
    """A caption for each digit."""
    forms = ("a handwritten {}", "the number {} in pen", "{}, written by hand")
    return [forms[place % 3].format(WORDS[digit]) for place, digit in enumerate(digits)]


@cache
def evidence(share: float, seed: int) -> PictureEvidence:
    """What the pictures say when a share of the captions is wrong."""
    return picture_evidence(features(), caption_words(captions(said(share, seed)[0])), progress=False)


@cache
def wrong_captions(share: float, seed: int) -> WrongCaptions:
    """The same against planted captions, which takes longest; `judge` does it itself where it is given the evidence."""
    return calibrated(evidence(share, seed))
