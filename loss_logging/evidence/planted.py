"""Captions beside captions that were planted: how much likelier a caption's description is among wrong ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from loss_logging.evidence.pictures import PictureEvidence

__all__ = ["WrongCaptions", "against_planted", "calibrated"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_FEWEST = 100
"""Captions that a chance is calibrated on."""
_FOLDS = 5
_DIVISIONS = 16
"""Into folds, that everything is averaged over, since a few captions decide share and ratio of a small set; of larger
sets one is as good. Of 600 digits, the first bin under one seed was up to 1.8, 9 and 29 times that under another (three
sets) where 5 scores were averaged before; it is 1.4, 2.6 and 2.2 times so."""
_ROUNDS = 50
_SETTLED = 1e-3
_BENDS = (0.2, 0.5)
"""Quantiles of the planted captions' scores: where the log odds may begin to rise faster."""
_FITTED = 20_000
"""Captions that a fit is made on."""
_KNOTS = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEAST = 1e-6
"""Share of wrong captions where none are seen: chances of 0 would rank nothing."""
_TAILS = (0.5, 0.2)
"""Shares of the planted captions, those that their pictures contradict most, at which wrong captions are counted."""
HARD_PICTURES = 0.005
"""Share of pictures that contradict a right caption as if it were another's: so many are expected of any set, and no
evidence of these pictures can tell them from wrong captions."""


@dataclass(frozen=True)
class WrongCaptions:
    """Args:
    score: (N,) log odds that a caption was planted, from a model that has not seen it; NaN where nothing is known.
    ratio: (N,) density of the score among planted captions over that among the set's own.
    share: of the captions that are wrong, `HARD_PICTURES` taken off; a millionth where none are seen, up to 1.
    compared: (N,) True where a caption was compared with its picture at all.
    reason: a sentence on why nothing is known; "" where something is.
    """

    score: Floats
    ratio: Floats
    share: float
    compared: Any
    reason: str = ""

    def __len__(self) -> int:
        return len(self.score)

    def probability(self) -> Floats:
        """The chance that each caption is wrong, (N,): share * ratio, as in Bayes' rule."""
        return np.minimum(self.share * self.ratio, _most(self.share))


def calibrated(pictures: PictureEvidence, *, seed: int = 0) -> WrongCaptions:
    """`against_planted`, or the reason why pictures say nothing of these captions."""
    reason = ""
    if pictures.reason:
        reason = f"Pictures say nothing of the captions: {pictures.reason}."
    elif (told := int((pictures.own[:, 4] > 0).sum())) < _FEWEST:
        reason = f"Pictures were compared with {told} captions; it takes {_FEWEST} to calibrate a chance."
    if not reason:
        return against_planted(pictures, seed=seed)
    unknown = np.full(len(pictures), np.nan)
    return WrongCaptions(unknown, unknown.copy(), 0.0, np.zeros(len(pictures), np.bool_), reason)


def against_planted(pictures: PictureEvidence, *, seed: int = 0) -> WrongCaptions:
    """Tell the set's own captions from planted ones by what the pictures say of them.

    A logistic regression with hinges, five-fold by picture; then a mixture of right and wrong captions is fitted to its
    score. Both are repeated with several divisions into folds, and averaged. The set's own captions are right ones and
    wrong ones, the planted ones all wrong: where no right caption lies, among those that are contradicted most, the
    ratio of own to planted is the share of wrong ones (Elkan and Noto, 2008).
    """
    told = np.flatnonzero(pictures.own[:, 4] > 0)
    counted = pictures.planted[:, 4] > 0
    rows = np.concatenate([pictures.own[told], pictures.planted[counted]])
    wrong = np.repeat([False, True], [len(told), int(counted.sum())])
    at = np.concatenate([told, pictures.planted_at[counted]])
    rng = np.random.default_rng(seed)
    folds = [rng.permutation(len(pictures)) % _FOLDS for _ in range(_DIVISIONS if len(rows) <= _FITTED else 1)]
    scores = [_scores(rows, wrong, fold[at]) for fold in folds]
    shares = [_share(score, wrong) for score in scores]
    ratios = [_ratio(score, wrong, share)[~wrong] for score, share in zip(scores, shares, strict=True)]
    unknown, every = np.full(len(pictures), np.nan), np.ones(len(pictures), np.bool_)
    found = WrongCaptions(unknown, unknown.copy(), float(np.mean(shares)), every)
    found.score[told], found.ratio[told] = np.mean(scores, 0)[~wrong], np.exp(np.mean(np.log(ratios), 0))
    return found


def _scores(rows: Floats, wrong: Any, fold: Any) -> Floats:
    """Log odds of being planted, own and planted captions counted alike, each from a fit without its picture."""
    from sklearn.linear_model import LogisticRegression

    columns = _hinges(rows)
    weight = np.where(wrong, 1 / wrong.sum(), 1 / (~wrong).sum()) * (~wrong).sum()
    score = np.zeros(len(rows))
    for out in range(_FOLDS):
        fitted = np.flatnonzero(fold != out)
        if len(fitted) > _FITTED:
            fitted = np.random.default_rng(out).choice(fitted, _FITTED, replace=False)
        model = LogisticRegression(solver="newton-cholesky").fit(columns[fitted], wrong[fitted], weight[fitted])
        score[fold == out] = model.decision_function(columns[fold == out])
    return score


def _hinges(rows: Floats) -> Floats:
    """Each column, and what of it lies above each of a few of its quantiles; of mean 0 and variance 1."""
    knots = np.quantile(rows, _KNOTS, axis=0)
    parts = np.concatenate([rows, *(np.maximum(rows - knot, 0) for knot in knots)], axis=1)
    spread = parts.std(0)
    return (parts - parts.mean(0))[:, spread > 1e-9] / spread[spread > 1e-9] if (spread > 1e-9).any() else parts


def _ratio(score: Floats, wrong: Any, share: float) -> Floats:
    """Density among planted over density among own captions, which grows with the score.

    The set's own captions are a mixture: a share of wrong ones, of the planted captions' density, and right ones. Log
    odds of wrong against right are a line in the score that bends upwards, fitted by expectation and maximisation: the
    steps of an isotonic regression lie where chance has put a few captions of a small set.
    """
    from sklearn.linear_model import LogisticRegression

    above = [np.maximum(score - np.quantile(score[wrong], tail), 0) for tail in _BENDS]
    columns = np.stack([score, *above], axis=1)
    chance = np.full(int((~wrong).sum()), share)
    odds = np.zeros(len(score))
    # Each round begins where the one before has ended: a third of the time, and chances that are nearer to the limit.
    model = LogisticRegression(C=10.0, solver="newton-cholesky", warm_start=True)
    for _ in range(_ROUNDS):
        right = np.maximum(1 - chance, 1e-6)
        weight = np.ones(len(score))
        weight[wrong] = len(right) / wrong.sum()
        weight[~wrong] = right * len(right) / right.sum()
        model.fit(columns, wrong, weight)
        odds = columns @ np.maximum(model.coef_[0], 0) + model.intercept_[0]
        before, chance = chance, share / (share + (1 - share) * np.exp(-odds[~wrong])) if share else chance
        if np.abs(chance - before).max() < _SETTLED:
            break
    return np.asarray(1 / (share + (1 - share) * np.exp(-odds)), np.float64)


def _share(score: Floats, wrong: Any) -> float:
    """The share of wrong captions, from those that are contradicted most; the first of them does not count.

    Right captions make it too high, less so the more a tail is contradicted; few captions make it uncertain, more so
    the smaller a tail is. Of the tails, that of the lowest upper bound decides.
    """
    own, planted = score[~wrong], score[wrong]
    found = []
    for tail in _TAILS:
        least = np.quantile(planted, 1 - tail)
        above, unit = int((own >= least).sum()), 1 / len(own) / float((planted >= least).mean())
        found.append(((above + np.sqrt(above)) * unit, max(above - 1, 0) * unit))
    return min(1.0, max(_LEAST, (min(found)[1] - HARD_PICTURES) / (1 - HARD_PICTURES)))


def _most(share: float) -> float:
    """The highest chance that can be said: of the most contradicted, some are right captions of odd pictures."""
    return share / (share + (1 - share) * HARD_PICTURES) if share else 0.0
