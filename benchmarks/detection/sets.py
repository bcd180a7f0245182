"""Captioned sets with wrong captions: digits and icons, as they are or shifted and mirrored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.detection.data import Flags, load_digits
from benchmarks.detection.icons import load_icons
from loss_logging.cli.demo.data import TEMPLATES, WORDS

__all__ = ["SETS", "CaptionedSet", "load_set"]

SETS = (
    "digits",
    "digits-word",
    "lucide",
    "lucide moved",
    "lucide tags",
    "lucide-word",
    "fluent emoji",
    "fluent emoji moved",
    "fluent emoji-word",
)
"""``-word``: one word of a wrong caption is another; ``moved``: shifted by up to an eighth and mirrored at random."""
TRAINED = 16
"""Width and height of icons as they are trained on."""


@dataclass(frozen=True)
class CaptionedSet:
    """N captioned pictures. ``trained``: (N, D) float32 in [-1, 1], what a model is trained on; ``word``: the word of
    each wrong caption that is wrong, and ``right`` what stood there, "" where that is not one word; ``labels``: what
    peers are given, which take labels: of digits the word for the digit alone; else the caption."""

    name: str
    pictures: list[np.ndarray[Any, Any]]
    trained: np.ndarray[Any, np.dtype[np.float32]]
    captions: list[str]
    wrong: Flags
    word: list[str]
    right: list[str]
    labels: list[str]

    @property
    def one_word(self) -> bool:
        """Whether wrong captions are wrong in one word."""
        return self.name.endswith("-word")


def load_set(name: str, *, share: float = 0.1, seed: int = 0) -> CaptionedSet:
    """One of `SETS`, with a share of wrong captions; on digits as many other pictures are noisy, up to a tenth.

    Args:
        name: which.
        share: of the captions that are wrong, from 0 to 1.
        seed: decides which captions are wrong.
    """
    return _digits(name, share, seed) if name.startswith("digits") else _icons(name, share, seed)


def _digits(name: str, share: float, seed: int) -> CaptionedSet:
    from sklearn import datasets

    one_word = name == "digits-word"
    source = load_digits("one word" if one_word else "digit", noisy=share > 0, seed=seed)
    captions, wrong = list(source.captions), source.wrong
    word, right = [""] * len(captions), [""] * len(captions)
    if one_word:
        other = load_digits("one word", noisy=False, seed=seed + 1000)  # plants elsewhere
        for item in np.flatnonzero(wrong):
            word[item] = _word(captions[item], source.word[item])
            right[item] = "" if other.wrong[item] else _word(other.captions[item], source.word[item])
    elif share != 0.1:
        rng = np.random.default_rng(seed)
        digit = datasets.load_digits().target
        wrong = np.isin(np.arange(len(digit)), rng.permutation(len(digit))[: int(share * len(digit))])
        said = np.where(wrong, (digit + rng.integers(1, 10, len(digit))) % 10, digit)
        captions = [str(rng.choice(TEMPLATES)).format(word=WORDS[each], digit=each) for each in said]
        source = replace(source, labels=said)
    labels = captions if one_word else [WORDS[label] for label in source.labels]
    trained = source.images.numpy()
    return CaptionedSet(name, list((trained.reshape(-1, 8, 8) + 1) / 2), trained, captions, wrong, word, right, labels)


def _word(caption: str, kind: str) -> str:
    """The word of a caption that says the stroke, the digit or the place."""
    words = caption.replace(",", "").split()
    return {"stroke": words[1], "digit": words[3], "place": words[4]}[kind]


def _icons(name: str, share: float, seed: int) -> CaptionedSet:
    rng = np.random.default_rng(seed)
    pixels, names, tags = load_icons("lucide" if name.startswith("lucide") else "fluent emoji")
    if "moved" in name:
        pixels = np.stack([_moved(picture, rng) for picture in pixels])
    captions = (
        [", ".join([own, *more]) for own, more in zip(names, tags, strict=True)] if "tags" in name else list(names)
    )
    chosen = rng.permutation(len(captions))[: int(share * len(captions))]
    word, right = [""] * len(captions), [""] * len(captions)
    if name.endswith("-word"):
        every = [each for caption in captions for each in caption.split()]
        for item in chosen:
            words = captions[item].split()
            place = int(rng.integers(len(words)))
            other = next(each for each in rng.permutation(every) if each not in words)
            right[item], word[item] = words[place], str(other)
            captions[item] = " ".join([*words[:place], str(other), *words[place + 1 :]])
    else:
        before = list(captions)
        for item, other in zip(chosen, np.roll(chosen, 1), strict=True):
            captions[item] = before[other]
    small = pixels.reshape(len(pixels), TRAINED, 2, TRAINED, 2, 3).mean((2, 4)) / 127.5 - 1
    small = small.mean(-1) if name.startswith("lucide") else small
    wrong = np.isin(np.arange(len(captions)), chosen)
    trained = small.reshape(len(small), -1).astype(np.float32)
    return CaptionedSet(name, list(pixels), trained, captions, wrong, word, right, captions)


def _moved(picture: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    most = len(picture) // 8
    down, left = rng.integers(0, 2 * most + 1, 2)
    wide = np.pad(picture, ((most, most), (most, most), (0, 0)), constant_values=255)
    moved = wide[down : down + len(picture), left : left + len(picture)]
    return moved[:, ::-1] if rng.random() < 0.5 else moved
