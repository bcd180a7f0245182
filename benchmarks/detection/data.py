"""Captioned digits with known faults, spread over the whole set."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from loss_logging.cli.demo.data import TEMPLATES, WORDS

__all__ = ["Captions", "Digits", "load_digits"]

Captions: TypeAlias = Literal["digit", "one word", "unique", "tags"]
"""What captions say, and wrong ones: the digit, or another; digit, stroke and place, or one of these another; the
digit, or another, among words that make nearly every caption the only one of its kind; digit, stroke and place as tags,
or those of an image of another digit."""
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

STROKES = ("thin", "medium", "thick")
PLACES = ("left", "centred", "right")
NAMES = ("Ada", "Boris", "Chiara", "David", "Emine", "Farid", "Grace", "Hugo", "Ines", "Jun", "Kofi", "Lena")
TOOLS = ("a pencil", "a biro", "a felt pen", "a brush", "chalk", "a crayon", "a marker", "ink")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Digits:
    """N captioned images. ``images``: (N, 64) in [-1, 1]; ``labels``: the digit that each caption names, wrong or not;
    ``wrong`` and ``noisy``: (N,), True where a fault was planted; ``word``: (N,) which word is wrong, "" for none;
    ``right``: the captions without a fault; ``shown``: (N, 3) digit, stroke and place, as the image shows them."""

    paths: list[str]
    captions: list[str]
    images: Tensor
    labels: np.ndarray[Any, np.dtype[np.int64]]
    wrong: Flags
    noisy: Flags
    word: np.ndarray[Any, np.dtype[np.str_]]
    right: list[str]
    shown: np.ndarray[Any, np.dtype[np.int64]]


def load_digits(captions: Captions, *, noisy: bool, seed: int, items: int | None = None, share: float = 0.1) -> Digits:
    """scikit-learn's 1,797 digits, some with a wrong caption and, of the others, as many with noise over the image.

    Args:
        captions: what captions say.
        noisy: add normal noise of standard deviation 1 to as many images as there are wrong captions.
        seed: another seed plants other faults.
        items: take the first ones only.
        share: of the captions that are wrong, from 0 to 0.5.
    """
    from sklearn import datasets

    source = datasets.load_digits()
    images = (source.images[:items] / 8 - 1).astype(np.float32)
    true = np.stack([source.target[:items], _third(images.sum((1, 2))), _third(_column_of_weight(images))], axis=1)
    rng = np.random.default_rng(seed)
    count = int(len(images) * share)
    order = rng.permutation(len(images))
    wrong, noise = (np.isin(np.arange(len(images)), part) for part in (order[:count], order[count : 2 * count]))
    if noisy:
        images[noise] += rng.normal(0, 1, images[noise].shape).astype(np.float32)
    said, word = true.copy(), np.full(len(images), "", "U6")
    for item in order[:count]:
        place = int(rng.integers(3)) if captions == "one word" else 0
        kinds = 10 if place == 0 else 3
        said[item, place] = (said[item, place] + rng.integers(1, kinds)) % kinds
        word[item] = ("digit", "stroke", "place")[place]
        if captions == "tags":
            said[item] = true[rng.choice(np.flatnonzero(true[:, 0] != true[item, 0]))]
    without = deepcopy(rng)  # what chance decides of a caption, it decides of its right form too
    return Digits(
        paths=[f"{item:04d}.png" for item in range(len(images))],
        captions=[_caption(captions, *row, rng) for row in said.tolist()],
        images=torch.from_numpy(images.reshape(-1, 64).clip(-1, 1)),
        labels=said[:, 0],
        wrong=wrong,
        noisy=noise & noisy,
        word=word,
        right=[_caption(captions, *row, without) for row in true.tolist()],
        shown=true,
    )


def _third(values: np.ndarray[Any, Any]) -> Any:
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)


def _column_of_weight(images: np.ndarray[Any, Any]) -> Any:
    ink = images + 1
    return (ink * np.arange(8)).sum((1, 2)) / ink.sum((1, 2))


def _caption(captions: Captions, digit: int, stroke: int, place: int, rng: np.random.Generator) -> str:
    if captions == "digit":
        return str(rng.choice(TEMPLATES)).format(word=WORDS[digit], digit=digit)
    if captions == "one word":
        return f"a {STROKES[stroke]} handwritten {WORDS[digit]}, {PLACES[place]} on the page"
    if captions == "tags":
        return f"{WORDS[digit]}, {STROKES[stroke]}, {PLACES[place]}"
    name, tool, day = rng.choice(NAMES), rng.choice(TOOLS), rng.choice(DAYS)
    return f"{WORDS[digit]}, number {rng.integers(100)} that {name} wrote with {tool} on {day}"
