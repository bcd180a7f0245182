"""CaptionWords: captions as rows of words, in any language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from loss_logging.captions.across import tokens
from loss_logging.captions.names import Style
from loss_logging.captions.style import StyleGuess
from loss_logging.errors import ConfigError
from loss_logging.support.extras import require

__all__ = ["CaptionWords", "caption_words"]

Matrix: TypeAlias = Any
"""A scipy.sparse.csr_array, which has no types."""

_FEWEST = 2
"""Captions that must hold a word: from one alone nothing can be learnt about it."""
_INSIDE = re.compile(r"[_/\\\-]+")
_SUFFIX = re.compile(r"\.(?:avif|bmp|gif|jpe?g|png|svg|tiff?|webp)$", re.IGNORECASE)


@dataclass(frozen=True)
class CaptionWords:
    """N captions and the V words in them that can be learnt about.

    Args:
        words: the V words or tags, those in most captions first; each stands in two captions or more, none in all.
        matrix: (N, V) sparse float32; 1 where the caption holds the word, however often.
        blank: (N,) True where a caption has no word at all.
        unknown: (N,) how many different words of a caption are not among ``words``.
    """

    words: list[str]
    matrix: Matrix
    blank: np.ndarray[Any, np.dtype[np.bool_]]
    unknown: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.blank)


def caption_words(captions: Sequence[str | None], *, most: int = 4096) -> CaptionWords:
    """The words of captions: words of prose, whole tags, characters where a script has no spaces; without case.

    A word is what the caption rules take for one. File names are captions too: ``red-arrow_left.png`` has three words.

    Args:
        captions: N of them; None and "" have no words.
        most: how many words to keep, those in most captions.

    Raises:
        ConfigError: ``captions`` is one text, or ``most`` is not 1 or more.
        MissingExtraError: scipy, which comes with the extra ``evidence``, is not installed.

    Example:
        >>> words = caption_words(["A red car.", "a blue car", "a red-brick house", None])
        >>> words.words, words.matrix.toarray().astype(int).tolist()
        (['a', 'car', 'red'], [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 0, 0]])
        >>> words.unknown.tolist(), words.blank.tolist()
        ([0, 1, 2, 0], [False, False, False, True])
    """
    if isinstance(captions, str):
        raise ConfigError(f"captions is the text {captions[:40]!r}; allowed: a sequence of texts, one for each picture")
    if most < 1:
        raise ConfigError(f"most is {most!r}; allowed: 1 or more")
    require("evidence", "scipy")
    rows = [sorted(row) for row in _word_sets(captions)]
    number: dict[str, int] = {}
    held = np.array([number.setdefault(word, len(number)) for row in rows for word in row], np.int64)
    count = np.bincount(held, minlength=len(number))
    told = np.flatnonzero((count >= _FEWEST) & (count < len(rows)))
    kept = told[np.argsort(-count[told], kind="stable")][:most]
    names = list(number)
    return CaptionWords(
        words=[names[word] for word in kept],
        matrix=(matrix := _matrix(held, [len(row) for row in rows], kept, len(number))),
        blank=np.array([not row for row in rows], np.bool_),
        unknown=np.array([len(row) for row in rows], np.int64) - np.diff(matrix.indptr),
    )


def _word_sets(captions: Iterable[str | None]) -> list[set[str]]:
    texts = [_SUFFIX.sub("", (caption or "").strip()) for caption in captions]
    guess = StyleGuess()
    for text in texts:
        guess.add(text)
    style = guess.style()
    return [set(_split(text, style)) for text in texts]


def _split(text: str, style: Style | None) -> list[str]:
    words = tokens(text, style) if text else []
    if style == "tags":
        return words
    return [part for word in words for part in _INSIDE.split(word) if part]


def _matrix(held: Any, lengths: list[int], kept: Any, words: int) -> Matrix:
    """The (N, V) matrix of the words that were kept."""
    from scipy import sparse

    column = np.full(words, -1, np.int64)
    column[kept] = np.arange(len(kept))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    known = column[held] >= 0 if len(held) else np.zeros(0, np.bool_)
    places = (rows[known], column[held[known]]) if len(held) else (rows, held)
    ones = np.ones(int(known.sum()), np.float32)
    matrix = sparse.csr_array((ones, places), (len(lengths), len(kept)))
    matrix.sort_indices()
    return matrix
