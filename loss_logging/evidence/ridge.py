"""Smoother: kernel ridge regression from features to many targets, with what each row would get without itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["smoother"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""The ridge penalties that are tried; each target takes the one of least leave-one-out error."""
_WIDTH = 0.3
"""Of the squared distance between two rows, in the middle: where the kernel has fallen to 1/e."""
_EXACT = 2500
"""Rows; above, the kernel is approximated by Nystroem's method."""
_LANDMARKS = 1000
_TRIED = 4096
"""Rows on which the penalty of a target is chosen."""
_ROWS = 1024


@dataclass(frozen=True)
class Smoother:
    """The kernel as ``basis`` (N, R), orthonormal columns, and what each penalty leaves of them, ``kept`` (L, R)."""

    basis: Floats
    kept: Floats

    def fit(self, targets: Any, means: Floats) -> Fit:
        """Fit each column of ``targets``, (N, V) sparse of 0 and 1, whose means are ``means`` (V,)."""
        projected = np.asarray((targets.T @ self.basis).T, np.float32) - self.basis.sum(0)[:, None] * means
        penalty = self._best(projected, targets, means)
        weights = self.kept.T[:, np.maximum(penalty, 0)] * projected
        weights[:, penalty < 0] = 0
        return Fit(self, weights, penalty)

    def leverage(self, rows: Ints, others: Ints) -> Floats:
        """How far the fit at ``rows`` follows the targets at ``others``: (B,) and (B,) -> (B, L)."""
        product = self.basis[rows] * self.basis[others]
        return np.asarray(product @ self.kept.T, np.float32)

    def _best(self, projected: Floats, targets: Any, means: Floats) -> Ints:
        """The penalty of least leave-one-out error for each target; -1 where none is better than the mean."""
        count = len(self.basis)
        rows = np.sort(np.random.default_rng(0).choice(count, min(count, _TRIED), replace=False))
        errors = np.zeros((len(self.kept) + 1, len(means)))
        leverage = self.leverage(rows, rows)
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) // _ROWS)):
            wanted = targets[rows[part]].toarray() - means
            errors[-1] += ((wanted * count / (count - 1)) ** 2).sum(0)
            for place, kept in enumerate(self.kept):
                fitted = (self.basis[rows[part]] * kept) @ projected
                errors[place] += (((wanted - fitted) / (1 - leverage[part, place, None])) ** 2).sum(0)
        best = errors.argmin(0)
        return np.where(best == len(self.kept), -1, best)


@dataclass(frozen=True)
class Fit:
    """Targets fitted by a `Smoother`: ``weights`` (R, V), and which penalty each target took, -1 for the mean alone."""

    smoother: Smoother
    weights: Floats
    penalty: Ints

    def residuals(self, rows: Ints, wanted: Floats) -> Floats:
        """What the fit at ``rows`` leaves of the centred targets ``wanted``: (B, V)."""
        return wanted - self.smoother.basis[rows] @ self.weights

    def leverage(self, rows: Ints, others: Ints) -> Floats:
        """As `Smoother.leverage`, for each target: (B, V)."""
        leverage = self.smoother.leverage(rows, others)[:, np.maximum(self.penalty, 0)]
        leverage[:, self.penalty < 0] = 0
        return leverage


def smoother(features: Floats, *, exact: int = _EXACT, landmarks: int = _LANDMARKS) -> Smoother:
    """The Gaussian kernel between the rows of ``features``, (N, D) with N of 2 or more.

    Args:
        features: finite numbers.
        exact: up to so many rows the kernel is exact; above it is approximated from ``landmarks`` rows (Nystroem's
            method, scikit-learn's).
        landmarks: how many.
    """
    gamma = 1 / (_WIDTH * _middle_distance(features))
    if len(features) <= exact:
        from sklearn.metrics.pairwise import rbf_kernel

        spectrum, vectors = np.linalg.eigh(rbf_kernel(features, gamma=gamma))
        used = _used(spectrum)
        basis = np.ascontiguousarray(vectors[:, used], np.float32)
    else:
        basis = _nystroem(features, gamma, landmarks)
        spectrum, turn = np.linalg.eigh(basis.T @ basis)
        used = _used(spectrum)
        turn = turn[:, used] / np.sqrt(spectrum[used])
        for part in np.array_split(np.arange(len(basis)), -(-len(basis) // _ROWS)):  # in place: it is what is large
            basis[part, : turn.shape[1]] = basis[part] @ turn
        basis = basis[:, : turn.shape[1]]
    spectrum = spectrum[used]
    kept = np.array([spectrum / (spectrum + penalty) for penalty in PENALTIES], np.float32)
    return Smoother(basis, kept)


def _used(spectrum: Floats) -> Any:
    """Which eigenvalues are more than rounding errors."""
    return spectrum > 1e-5 * spectrum[-1]


def _middle_distance(features: Floats) -> float:
    """The median squared distance between two different rows; 1 where all are the same."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(features), size=(2, 20_000))
    distance = ((features[one[one != other]] - features[other[one != other]]) ** 2).sum(1)
    above = distance[distance > 0]
    return float(np.median(above)) if len(above) else 1.0


def _nystroem(features: Floats, gamma: float, landmarks: int) -> Floats:
    from sklearn.kernel_approximation import Nystroem

    approximation = Nystroem(gamma=gamma, n_components=landmarks, random_state=0)
    rows = np.random.default_rng(0).choice(len(features), min(len(features), 4 * landmarks), replace=False)
    approximation.fit(features[rows])
    out = np.empty((len(features), landmarks), np.float32)
    for part in np.array_split(np.arange(len(features)), -(-len(features) // _ROWS)):
        out[part] = approximation.transform(features[part])
    return out
