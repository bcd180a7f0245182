"""Picture evidence: captions that their picture contradicts, told from the other pictures and captions of the set.

Kernel ridge regression from picture features to the words of the captions, each item predicted without itself. With
q_w for the chance that word w stands in the caption of this picture, m_w for its share of all captions:

    whole caption   sum over w of log((1 - m_w) / (1 - q_w)) + sum over the caption's w of (logit m_w - logit q_w)
    one word        max over the caption's w of (logit m_w - logit q_w) + 1/2 max over the other w of logit q_w

Higher is worse. The least likely word is the caption's with the least logit q_w, its suggestion the other word with
the highest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from loss_logging.errors import ConfigError
from loss_logging.evidence.ridge import Fit, smoother
from loss_logging.evidence.words import CaptionWords
from loss_logging.support.extras import require
from loss_logging.support.progress_bar import progress_bar

__all__ = ["DESCRIPTION", "PictureEvidence", "picture_evidence"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

DESCRIPTION = ("whole caption", "worst word", "likeliest other word", "words on average", "words", "rarest word")
"""What the columns of `PictureEvidence.own` and ``planted`` are."""
_FEWEST = 20
"""Items; from fewer nothing is learnt."""
_CELLS = 2_000_000
"""Numbers in one array of items by words."""
_CANDIDATES = 4096
"""Captions that a rival is chosen among."""
_PLANTED = 8_000
"""Wrong captions to plant, about."""
_PLANTINGS = 16
"""Most wrong captions to plant beside one picture: of a small set, one planting is a matter of luck."""
_CONTRAST = 0.5


@dataclass(frozen=True)
class PictureEvidence:
    """What the pictures say of N captions; NaN, None and -1 where they say nothing.

    Args:
        whole: (N,) how much likelier the picture finds any caption than this one; higher is worse, in nats.
        word: (N,) the same for one word of it against another.
        worst_word: the caption's least likely word.
        suggested_word: the likeliest word that the caption does not hold.
        rivals: (N, K) the items whose captions suit this picture best, of those with other words; best first.
        own: (N, 6) the description (see `DESCRIPTION`) of each caption beside its picture.
        planted: (P, 6) the same of captions that were planted: another item's beside this picture, as if that item
            were not there.
        planted_at: (P,) beside which picture.
        reason: why nothing is known; "" where something is.
    """

    whole: Floats
    word: Floats
    worst_word: list[str | None]
    suggested_word: list[str | None]
    rivals: Ints
    own: Floats
    planted: Floats
    planted_at: Ints
    reason: str = ""

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def rival(self) -> Ints:
        """(N,) the first of the rivals."""
        return self.rivals[:, 0]


def picture_evidence(
    features: Any, words: CaptionWords, *, seed: int = 0, rivals: int = 1, progress: bool = True
) -> PictureEvidence:
    """What each picture says of its caption, judged by the others.

    Args:
        features: (N, D) finite numbers; rows of pictures that look alike lie close together.
        words: the captions of the same N items.
        seed: decides which captions are planted.
        rivals: K, how many to find.
        progress: whether to show a progress bar.

    Raises:
        ConfigError: there are not as many rows as captions.
        MissingExtraError: scikit-learn, of the extra ``evidence``, is not installed.

    Example:
        >>> from loss_logging.evidence.words import caption_words
        >>> colours = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.05, (60, 3))
        >>> captions = ["a red ball"] * 20 + ["a blue ball"] * 20 + ["a green ball"] * 20
        >>> captions[0] = "a blue ball"
        >>> found = picture_evidence(colours, caption_words(captions), progress=False)
        >>> int(found.whole.argmax()), found.worst_word[0], found.suggested_word[0], captions[found.rival[0]]
        (0, 'blue', 'red', 'a red ball')
    """
    require("evidence", "sklearn")
    rows = np.ascontiguousarray(features, np.float32)
    if rows.ndim != 2 or len(rows) != len(words):
        raise ConfigError(f"features has the shape {rows.shape}; allowed: ({len(words)}, D), a row for each caption")
    told = np.flatnonzero(~words.blank)
    rows = rows if len(told) == len(rows) else rows[told]  # no copy where none is needed
    if reason := _nothing_to_learn(rows, words):
        return _nothing(len(words), rivals, reason)
    model = _Model(rows, words.matrix[told], seed)
    if not len(model.known):
        return _nothing(len(words), rivals, "no word can be told from the pictures better than by how often it stands")
    found = _Found(len(words), rivals, [words.words[word] for word in model.known], told)
    with progress_bar("Comparing pictures with captions", total=len(told), unit=" items", shown=progress) as bar:
        for part in model.blocks():
            found.add(model, part)
            bar.update(len(part))
    return found.finish()


def _nothing_to_learn(rows: Any, words: CaptionWords) -> str:
    if len(rows) < _FEWEST:
        return f"{len(rows)} captioned pictures are too few to learn from; it takes {_FEWEST}"
    if not words.words:
        return "no word stands in two captions or more and not in all: nothing can be learnt from one for another"
    if (rows == rows[0]).all():
        return "all pictures look the same"
    return ""


def _nothing(count: int, rivals: int, reason: str) -> PictureEvidence:
    nan = np.full(count, np.nan)
    empty = np.full((0, len(DESCRIPTION)), np.nan)
    none: list[str | None] = [None] * count
    own = np.full((count, len(DESCRIPTION)), np.nan)
    at = np.zeros(0, np.int64)
    return PictureEvidence(nan, nan.copy(), none, list(none), np.full((count, rivals), -1), own, empty, at, reason)


class _Model:
    """The fit of the words that pictures can tell, and what it says of a block of items."""

    def __init__(self, features: Any, matrix: Any, seed: int) -> None:
        self.count = matrix.shape[0]
        self.floor = np.float32(1 / self.count)
        means = (np.asarray(matrix.sum(0)) / self.count).astype(np.float32).clip(self.floor, 1 - self.floor)
        fit = smoother(features).fit(matrix, means)
        self.known = np.flatnonzero(fit.penalty >= 0)
        self.words = len(self.known)
        self.matrix, self.means = matrix[:, self.known], means[self.known]
        self.fit = Fit(fit.smoother, fit.weights[:, self.known], fit.penalty[self.known])
        self.usual = _logit(self.means)
        self.rng = np.random.default_rng(seed)
        self.planted = int(np.clip(_PLANTED // self.count, 1, _PLANTINGS))
        self.candidates = self._candidates()
        self.texts = self.matrix[self.candidates]
        self.lengths = self.texts.sum(1)

    def blocks(self) -> list[Ints]:
        """All items, in blocks at random: captions are planted from one item of a block to another."""
        size = int(np.clip(_CELLS // self.words, 32, 1024))
        return list(np.array_split(self.rng.permutation(self.count), max(1, self.count // size)))

    def chances(self, held: Any, residual: Any, without: Any) -> tuple[Any, Any]:
        """logit q (B, V) and sum over words of log((1 - m) / (1 - q)) (B,), from what the fit leaves when it is made
        without the items: ``residual / without``."""
        chance = (held - residual / without).clip(self.floor, 1 - self.floor)
        return _logit(chance), (np.log1p(-self.means) - np.log1p(-chance)).sum(1, dtype=np.float64)

    def description(self, odds: Any, rest: Any, held: Any) -> Floats:
        """The columns of `DESCRIPTION`: ``held`` (B, V) are captions beside pictures with these ``odds`` (B, V)."""
        against = np.where(held, self.usual - odds, 0)
        worst = np.where(held, against, -np.inf).max(1)
        count = held.sum(1)
        known = np.maximum(count, 1)
        other = np.where(held, -np.inf, odds).max(1)
        rarest = np.where(held, self.usual, np.inf).min(1)
        has = count > 0
        columns = (
            rest + against.sum(1, dtype=np.float64),
            np.where(has, worst, 0),
            np.where(np.isfinite(other), other, 0),
            against.sum(1) / known,
            count,
            np.where(has, rarest, 0),
        )
        return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)

    def rivals(self, rows: Ints, odds: Any, most: int) -> Ints:
        """(B, most) items whose captions fit each picture best, of those with other words; -1 where there is none."""
        against = np.asarray((self.texts @ (self.usual - odds).T).T)
        shared = np.asarray((self.texts @ self.matrix[rows].T).toarray().T)
        same = (shared == self.lengths) & (self.lengths == self.matrix[rows].sum(1)[:, None])
        against[same] = np.inf
        fewer = min(most, against.shape[1])
        best = np.argpartition(against, fewer - 1, axis=1)[:, :fewer]
        score = np.take_along_axis(against, best, 1)
        order = score.argsort(1, kind="stable")
        items = np.where(np.isinf(score), -1, self.candidates[best])
        out = np.full((len(rows), most), -1)
        out[:, :fewer] = np.take_along_axis(items, order, 1)
        return out

    def _candidates(self) -> Ints:
        """Items with captions that differ from one another, at most `_CANDIDATES`."""
        marks = self.matrix @ np.random.default_rng(0).random((self.words, 2))
        first = np.unique(marks.round(9), axis=0, return_index=True)[1]
        return np.sort(self.rng.permutation(first)[:_CANDIDATES])


class _Found:
    """Gathers what the model says of one block after the other."""

    def __init__(self, count: int, rivals: int, words: list[str], told: Ints) -> None:
        self.names = np.array(words, object)
        self.told = told
        self.own = np.full((count, len(DESCRIPTION)), np.nan)
        self.word = np.full(count, np.nan)
        self.rivals = np.full((count, rivals), -1)
        self.worst: list[str | None] = [None] * count
        self.suggested: list[str | None] = [None] * count
        self.planted: list[Floats] = []
        self.planted_at: list[Ints] = []

    def add(self, model: _Model, rows: Ints) -> None:
        held = model.matrix[rows].toarray()
        residual = model.fit.residuals(rows, held - model.means)
        without = np.maximum(1 - model.fit.leverage(rows, rows), 1e-3)
        odds, rest = model.chances(held, residual, without)
        at = self.told[rows]
        self.own[at] = model.description(odds, rest, held > 0)
        self._words(at, odds, held > 0)
        rivals = model.rivals(rows, odds, self.rivals.shape[1])
        self.rivals[at] = np.where(rivals >= 0, self.told[rivals], -1)
        for _ in range(model.planted if len(rows) > 1 else 0):
            order = np.roll(np.arange(len(rows)), int(model.rng.integers(1, len(rows))))
            across = model.fit.leverage(rows, rows[order])
            both = np.maximum(without - across**2 / without[order], 1e-3)
            pair = residual + across * residual[order] / without[order]
            odds, rest = model.chances(held, pair, both)
            self.planted.append(model.description(odds, rest, held[order] > 0))
            self.planted_at.append(at)

    def _words(self, at: Ints, odds: Any, held: Any) -> None:
        known = held.any(1)
        other = np.where(held, -np.inf, odds)
        self.word[at] = np.where(known, self.own[at, 1] + _CONTRAST * self.own[at, 2], np.nan)
        for item, own, instead in zip(
            at[known],
            np.where(held, odds, np.inf)[known].argmin(1),
            np.where(np.isinf(other).all(1), -1, other.argmax(1))[known],
            strict=True,
        ):
            self.worst[item] = self.names[own]
            self.suggested[item] = self.names[instead] if instead >= 0 else None

    def finish(self) -> PictureEvidence:
        planted, at = np.concatenate(self.planted), np.concatenate(self.planted_at)
        known = self.own[:, 4] > 0
        whole = np.where(known, self.own[:, 0], np.nan)
        return PictureEvidence(whole, self.word, self.worst, self.suggested, self.rivals, self.own, planted, at)


def _logit(chance: Any) -> Any:
    return np.log(chance) - np.log1p(-chance)
