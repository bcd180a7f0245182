"""LossEvidence: what losses with and without an item's caption say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from loss_logging.errors import ConfigError

__all__ = ["LossEvidence", "balanced", "pooled"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

FEWEST = 4
"""Records; fewer decide nothing by themselves."""
_PRIOR = 4
"""Records that the spread of all items counts for beside an item's own."""


@dataclass(frozen=True)
class LossEvidence:
    """How much worse N captions do than what they were compared with; above 0 they hurt.

    Args:
        mean: (N,) mean of the mismatch over an item's records: (loss - other) / ((loss + other) / 2) for pairs.
        n: (N,) how many records; 0 where there are none.
        error: (N,) standard error of the mean; NaN where it is not known.

    Raises:
        ConfigError: the three do not have the same length, or an ``n`` is negative.

    Example:
        >>> LossEvidence(np.array([0.2, -0.1]), np.array([8, 2]), np.array([0.05, 0.1])).decided.tolist()
        [True, False]
    """

    mean: Floats
    n: Floats
    error: Floats

    def __post_init__(self) -> None:
        for name in ("mean", "n", "error"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        if self.mean.ndim != 1 or not self.mean.shape == self.n.shape == self.error.shape:
            shapes = f"{self.mean.shape}, {self.n.shape} and {self.error.shape}"
            raise ConfigError(f"mean, n and error have the shapes {shapes}; allowed: one number each for each item")
        if (self.n < 0).any():
            raise ConfigError(f"n holds {self.n.min():g}; allowed: 0 or more records")

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def decided(self) -> Any:
        """(N,) True where there are `FEWEST` records or more."""
        return (self.n >= FEWEST) & np.isfinite(self.mean)

    def moderated(self, fewest: int = FEWEST) -> tuple[Floats, Floats]:
        """The mean over its standard error, and the degrees of freedom of that t statistic; NaN where there are fewer
        records than ``fewest``.

        A few records know their own spread badly: that of all items counts beside it (Smyth, 2004). One record has
        that alone.
        """
        used = (self.n >= fewest) & np.isfinite(self.mean)
        known = used & np.isfinite(self.error)
        variance = self.error**2 * self.n
        usual = np.median(variance[known]) if known.any() else np.nan
        own = np.where(known, self.n - 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt((np.where(known, variance, 0) * own + usual * _PRIOR) / (own + _PRIOR) / self.n)
            statistic = np.where(used & (error > 0), self.mean / error, np.nan)
        return statistic, own + _PRIOR


def balanced(empty: LossEvidence, rival: LossEvidence) -> LossEvidence:
    """The mean of both kinds where there are both, whatever their numbers; a rival alone says nothing.

    A right caption may do a little worse than a rival in other words, so that the empty caption keeps its half.

    >>> empty = LossEvidence([0.1, 0.1, np.nan], [8, 8, 0], [0.1, 0.1, np.nan])
    >>> both = balanced(empty, LossEvidence([0.3, np.nan, 0.3], [4, 0, 4], [0.1, np.nan, 0.1]))
    >>> both.mean.round(6).tolist(), both.n.tolist()
    ([0.2, 0.1, nan], [12.0, 8.0, 0.0])
    """
    both = empty.decided & (rival.n > 0)
    mean, error = (empty.mean + rival.mean) / 2, np.hypot(empty.error, rival.error) / 2
    return LossEvidence(
        np.where(both, mean, empty.mean),
        np.where(both, empty.n + rival.n, empty.n),
        np.where(both, error, empty.error),
    )


def pooled(evidences: Sequence[LossEvidence]) -> LossEvidence:
    """All records of several kinds together, as if they were of one.

    >>> one, other = (LossEvidence([mean], [4], [0.1]) for mean in (0.1, 0.3))
    >>> both = pooled([one, other])
    >>> round(float(both.mean[0]), 6), float(both.n[0])
    (0.2, 8.0)
    """
    n = np.sum([each.n for each in evidences], axis=0)
    held = [np.where(each.n > 0, each.n, 0) / np.maximum(n, 1) for each in evidences]
    mean = np.sum([np.where(w > 0, w * each.mean, 0) for w, each in zip(held, evidences, strict=True)], axis=0)
    square = [np.where(w > 0, (w * each.error) ** 2, 0) for w, each in zip(held, evidences, strict=True)]
    nothing = n == 0
    mean[nothing] = np.nan
    return LossEvidence(mean, n, np.where(nothing, np.nan, np.sqrt(np.sum(square, axis=0))))
