"""judge: one verdict on each caption from whatever evidence there is, with a probability where that is honest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow.compute as pc

from loss_logging.errors import ConfigError
from loss_logging.evidence.false_discoveries import false_discoveries
from loss_logging.evidence.losses import LossEvidence, balanced, pooled
from loss_logging.evidence.odd import OddImages, odd_images
from loss_logging.evidence.pictures import PictureEvidence
from loss_logging.evidence.planted import WrongCaptions, calibrated
from loss_logging.evidence.verdict import VERDICTS, Verdict
from loss_logging.support.extras import require

__all__ = ["VERDICTS", "Judgement", "Verdict", "judge"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

FALSE = 0.1
"""Share of the first bin that is expected to be right."""
_LOOK = 1 / 3
"""Chance from which a caption is worth a look."""
_LOOK_FALSE = 0.25
"""As `FALSE`, for captions worth a look, where losses alone judge."""
_HALF = 0.4
"""Share of wrong captions from which it cannot be told which ones they are: they might as well be the right ones."""
_NOTHING = 0.75
"""Share from which pictures tell a set's own captions no better from planted ones than chance does."""
_FEWEST = 100
"""Captions that losses are told apart on."""
_NO_SPREAD = (
    "The losses of each item are the same in all of its records, so that their error is unknown: no caption is judged."
)
_ROUNDS = 3
_WEIGHT = 0.5
"""Of what the losses say beside the pictures: odd pictures look wrong to both, so the two are not independent."""


@dataclass(frozen=True)
class Judgement:
    """What is to be said of N items; NaN and None where nothing is known.

    Args:
        p_wrong: (N,) chance that the caption as a whole is another picture's.
        p_odd: (N,) chance that the image is unlike the others in how hard it is, of either kind.
        odd_end: "unusually hard", "unusually easy" or None.
        verdict: one of `VERDICTS`; None is undecided.
        score: (N,) what to sort by, worst first: log odds where ``p_wrong`` is known, else a t statistic.
        word_score: (N,) a ranking by single wrong words, from 0 to 1 and no probability.
        contributions: log odds that each kind of evidence adds, (N,) by name; ``share`` is what one starts from.
        share: of the captions that are wrong; None where that is not known.
        notes: sentences on what could not be told, and why.
    """

    p_wrong: Floats
    p_odd: Floats
    odd_end: list[str | None]
    verdict: list[Verdict | None]
    score: Floats
    word_score: Floats
    contributions: Mapping[str, Floats] = field(default_factory=dict)
    share: float | None = None
    notes: tuple[str, ...] = ()

    def count(self, verdict: Verdict | None) -> int:
        """How many items have this verdict."""
        return sum(each == verdict for each in self.verdict)


def judge(
    pictures: PictureEvidence | WrongCaptions | None = None,
    *,
    empty: LossEvidence | None = None,
    rival: LossEvidence | None = None,
    dropped: LossEvidence | None = None,
    hard: Any = None,
    words: Any = None,
    seed: int = 0,
) -> Judgement:
    """Combine any of the kinds of evidence on the same N items, in the same order.

    With pictures, ``p_wrong`` is calibrated against captions that were planted, and the losses add to it what they are
    found to know; a caption that hurts beyond its error is at least worth a look. Without, nothing was planted that
    could calibrate: then captions that hurt beyond their error are named (Benjamini and Yekutieli, 2001), and there is
    no probability. So it is for single items that were not compared with their picture.

    Args:
        pictures: what the pictures say, calibrated already or not.
        empty, rival: losses with the caption beside those with the empty caption, and with the rival's. Both count
            alike; a right caption may do a little worse than a rival in other words, so that a rival's say alone is no
            verdict.
        dropped: unpaired evidence; used where there are no pairs.
        words: (N,) how much single words are contradicted, `PictureEvidence.word`; asked of ``pictures`` that are not
            calibrated yet.
        hard: (N,) standardised loss of each item, for ``p_odd``; NaN where there is none.
        seed: of the folds.

    Raises:
        ConfigError: there is no evidence at all, or the kinds are not about equally many items.
        MissingExtraError: scipy is not installed, or, for pictures that are not calibrated yet, scikit-learn: both are
            of the extra ``evidence``.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> mean = rng.normal(-0.2, 0.05, 200)
        >>> mean[:5] += 1
        >>> found = judge(empty=LossEvidence(mean, np.full(200, 16), np.full(200, 0.05)))
        >>> found.count("very likely wrong"), found.verdict[7], found.share is None
        (5, 'no sign of it', True)
    """
    require("evidence", "scipy")
    words = pictures.word if isinstance(pictures, PictureEvidence) else words
    kinds = {"pictures": pictures, "empty": empty, "rival": rival, "dropped": dropped, "hard": hard, "words": words}
    lengths = {name: len(value) for name, value in kinds.items() if value is not None}
    if len(set(lengths.values())) != 1:
        said = ", ".join(f"{name} {length:,}" for name, length in lengths.items()) or "nothing"
        raise ConfigError(f"judge was given {said}; allowed: one kind of evidence or more, on equally many items")
    (count,) = set(lengths.values())
    hurting = next((each for each in (empty, dropped) if each is not None and each.decided.any()), None)
    if rival is not None and hurting is empty is not None:
        hurting = balanced(empty, rival)
    seen = calibrated(pictures, seed=seed) if isinstance(pictures, PictureEvidence) else pictures
    case = _Case(count, seen, _losses(empty, rival, dropped=dropped), hurting)
    odd = OddImages.unknown(count) if hard is None else odd_images(hard)
    return case.judgement(odd, _word_score(words, rival, count))


def _losses(*pairs: LossEvidence | None, dropped: LossEvidence | None) -> LossEvidence | None:
    """All pairs together; unpaired records where no item has enough pairs."""
    given = [each for each in pairs if each is not None]
    both = pooled(given) if len(given) > 1 else next(iter(given), None)
    return both if both is not None and both.decided.any() else (both if dropped is None else dropped)


def _word_score(words: Floats | None, rival: LossEvidence | None, count: int) -> Floats:
    """Mean rank by what the pictures say of ``words`` and by the rival, of those there are."""
    ranks = [] if words is None else [_ranks(words)]
    if rival is not None:
        ranks.append(_ranks(np.where(rival.decided, rival.mean, np.nan)))
    if not ranks:
        return np.full(count, np.nan)
    stacked = np.stack(ranks)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def _ranks(values: Floats) -> Floats:
    """From 0, the least, to 1; NaN stays."""
    known = np.isfinite(values)
    out = np.full(len(values), np.nan)
    least, most = (pc.rank(values[known], tiebreaker=end).to_numpy().astype(np.float64) for end in ("min", "max"))
    out[known] = ((least + most) / 2 - 0.5) / max(int(known.sum()), 1)
    return out


class _Case:
    """The evidence on N captions, on its way to a verdict."""

    def __init__(
        self, count: int, seen: WrongCaptions | None, losses: LossEvidence | None, hurting: LossEvidence | None
    ) -> None:
        self.count = count
        self.seen = seen
        self.losses = losses
        self.hurting = hurting
        self.notes: list[str] = []
        self.share: float | None = None
        self.contributions: dict[str, Floats] = {}

    def judgement(self, odd: OddImages, word_score: Floats) -> Judgement:
        p_wrong, score, verdict = self._by_pictures() or self._by_losses() or self._undecided()
        return Judgement(
            p_wrong=p_wrong,
            p_odd=odd.p_odd,
            odd_end=odd.end,
            verdict=verdict,
            score=score,
            word_score=word_score,
            contributions=self.contributions,
            share=self.share,
            notes=tuple(self.notes),
        )

    def _undecided(self) -> tuple[Floats, Floats, list[Verdict | None]]:
        nothing = np.full(self.count, np.nan)
        return nothing, nothing.copy(), [None] * self.count

    def _by_pictures(self) -> tuple[Floats, Floats, list[Verdict | None]] | None:
        """With a probability; None where the pictures cannot give one."""
        found = self.seen
        if found is None:
            return None
        if found.reason:
            self.notes.append(found.reason)
            return None
        if found.share >= _NOTHING:
            self.notes.append("Pictures tell the captions no better from planted wrong ones than chance does.")
            return None
        self.share = found.share
        if found.share >= _HALF:
            self.notes.append(_cannot_tell(found.share))
            return np.full(self.count, np.nan), found.score, [None] * self.count
        with np.errstate(divide="ignore"):
            start = np.full(self.count, _logit(found.share))
            self.contributions = {"share": start, "pictures": _logit(found.probability()) - start}
        if self.losses is not None:
            self.contributions["losses"] = _loss_odds(self.losses, found.probability())
        odds = sum(np.where(np.isfinite(part), part, 0) for part in self.contributions.values())
        odds = np.where(np.isfinite(found.score), odds, np.nan)
        p_wrong = 1 / (1 + np.exp(-odds))
        losses = self.contributions.get("losses")
        least = 0.5 if losses is None or not losses.any() else 1 - FALSE  # losses that add nothing have no part
        return p_wrong, odds + 1e-3 * found.score, self._or_hurting(_bins(p_wrong, least))

    def _or_hurting(self, verdict: list[Verdict | None]) -> list[Verdict | None]:
        """What hurts beyond its error is worth a look, whatever its picture says: one word may be wrong. No more than
        that where the picture knows none of its words: rare right captions hurt, too. Where there was no picture the
        losses judge alone."""
        if self.hurting is None or self.seen is None:
            return verdict
        hurts = _hurting(*self.hurting.moderated())
        return [
            (VERDICTS[1] if loss == VERDICTS[0] and own in (None, VERDICTS[2]) else own) if compared else loss
            for own, loss, compared in zip(verdict, hurts, self.seen.compared, strict=True)
        ]

    def _by_losses(self) -> tuple[Floats, Floats, list[Verdict | None]] | None:
        """Without a probability: captions that hurt beyond their error."""
        if self.hurting is None:
            return None
        statistic, freedom = self.hurting.moderated()
        if not (known := int(np.isfinite(statistic).sum())):
            self.notes.append(_NO_SPREAD)
            return None
        verdict = _hurting(statistic, freedom)
        first = sum(each == VERDICTS[0] for each in verdict)
        if first >= _HALF * known:
            self.notes.append(_cannot_tell(first / known))
            return self._undecided()
        self.notes.append("Nothing was planted that could calibrate a chance: captions are judged by losses alone.")
        return np.full(self.count, np.nan), statistic, verdict


def _cannot_tell(share: float) -> str:
    return f"About {share:.0%} of the captions look wrong: which of two such halves is right cannot be told."


def _loss_odds(losses: LossEvidence, p_wrong: Floats) -> Floats:
    """Log odds of wrong against right that the losses add to ``p_wrong``, 0 where there are none.

    A single pair says something, too, beside what the picture says, as much as its error lets it.

    A few rounds of expectation and maximisation: which captions are wrong is not known, only likely; in turn the losses
    are told apart by how likely that is, and that is said anew by the losses. More rounds would teach themselves.
    """
    statistic, _ = losses.moderated(fewest=1)
    used = np.isfinite(statistic) & np.isfinite(p_wrong)
    added = np.zeros(len(statistic))
    if used.sum() < _FEWEST or not 0 < (total := p_wrong[used].sum()) < used.sum():
        return added
    columns = np.stack([_scaled(losses.mean[used]), _scaled(statistic[used])], axis=1)
    start = _logit(p_wrong[used])
    wrong = p_wrong[used]
    for _ in range(_ROUNDS):
        odds = _told_apart(columns, wrong) - _logit(wrong.mean())
        if (odds - odds.mean()) @ columns[:, 0] <= 0 or not np.isfinite(odds).all():
            return added  # the more a caption hurts, the likelier it is right, or all hurt alike: that is no evidence
        wrong = 1 / (1 + np.exp(-(start + odds)))
        if not 0 < wrong.sum() <= 2 * total + 1:
            return added
    added[used] = _WEIGHT * odds
    return added


def _told_apart(columns: Floats, wrong: Floats) -> Floats:
    """Log odds from a logistic regression of the chances ``wrong`` (N,), with a ridge of 1 on its slopes.

    As scikit-learn has it, which takes 130 MB and two seconds to import: too much for the reporter of every run.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    rows = np.column_stack([np.ones(len(columns)), columns])
    ridge = np.append(0.0, np.ones(columns.shape[1]))

    def loss(line: Floats) -> tuple[float, Floats]:
        odds = rows @ line
        value = np.logaddexp(0, odds).sum() - wrong @ odds + (ridge * line**2).sum() / 2
        return value, rows.T @ (expit(odds) - wrong) + ridge * line

    start = np.append(_logit(wrong.mean()), np.zeros(columns.shape[1]))
    return np.asarray(rows @ minimize(loss, start, jac=True, method="BFGS").x, np.float64)


def _scaled(values: Floats) -> Floats:
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84))
    return np.asarray(((values - middle) / max((high - low) / 2, 1e-12)).clip(-5, 10))


def _bins(p_wrong: Floats, least: float) -> list[Verdict | None]:
    """First the longest list, likeliest first, of which at most `FALSE` is expected to be right.

    Args:
        p_wrong: by item; NaN is unknown.
        least: the chance that each on the list must have. With losses, chances below 0.9 are too high: of those between
            0.7 and 0.9, 43 to 75% were true on digits and icons.
    """
    order = np.argsort(-np.where(np.isnan(p_wrong), -1, p_wrong), kind="stable")
    order = order[~np.isnan(p_wrong[order])]
    expected = np.cumsum(1 - p_wrong[order]) / np.arange(1, len(order) + 1)
    first = order[(expected <= FALSE) & (p_wrong[order] >= least)]
    verdict: list[Verdict | None] = [None if np.isnan(p) else VERDICTS[1 if p >= _LOOK else 2] for p in p_wrong]
    for item in first:
        verdict[item] = VERDICTS[0]
    return verdict


def _hurting(statistic: Floats, freedom: Floats) -> list[Verdict | None]:
    """By one-sided t tests that a caption does not hurt, with the false discoveries of each bin kept in bounds."""
    from scipy.special import stdtr  # scipy.stats takes four times as long to import, and three times the memory

    known = np.isfinite(statistic)
    p = stdtr(freedom[known], -statistic[known])
    first = false_discoveries(p, dependent=True) <= FALSE
    look = false_discoveries(p) <= _LOOK_FALSE
    verdict: list[Verdict | None] = [None] * len(statistic)
    for item, place in zip(np.flatnonzero(known), np.where(first, 0, np.where(look, 1, 2)), strict=True):
        verdict[item] = VERDICTS[place]
    return verdict


def _logit(chance: Any) -> Any:
    held = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.log(held) - np.log1p(-held)
