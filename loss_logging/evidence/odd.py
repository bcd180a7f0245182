"""Odd images: those whose loss is unlike that of the others, at either end, and pictures that are nearly the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from loss_logging.errors import ConfigError
from loss_logging.support.extras import require

__all__ = ["OddImages", "near_duplicates", "odd_images"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_FEWEST = 30
_QUARTILE = 0.6745
"""The upper quartile of a normal distribution of standard deviation 1."""
_ODD = 0.9
_COMPONENTS = 16
_NEAR = 0.15
_SAMPLE = 2000


@dataclass(frozen=True)
class OddImages:
    """Args:
    p_odd: (N,) one less the expected share of ordinary images among those as extreme; NaN where nothing is known.
    end: "unusually hard", "unusually easy", or None where ``p_odd`` is below 0.9.
    """

    p_odd: Floats
    end: list[str | None]

    @classmethod
    def unknown(cls, count: int) -> OddImages:
        """Nothing is known of so many images."""
        return cls(np.full(count, np.nan), [None] * count)


def odd_images(hard: Any) -> OddImages:
    """Which images are harder or easier than the bulk of the set explains.

    Noise, crops and inverted colours are hard; blur and low contrast are easy. The middle of the set tells how
    ordinary images vary, each side by itself (an empirical null: Efron, 2004).

    Args:
        hard: (N,) standardised losses, as ``hard`` in the reports; what is not finite is unknown.

    Raises:
        ConfigError: ``hard`` is not one number for each item.

    Example:
        >>> found = odd_images(np.append(np.random.default_rng(0).normal(size=200), [9, -9]))
        >>> found.end[-2:], any(found.end[:-2])
        (['unusually hard', 'unusually easy'], False)
    """
    values = np.asarray(hard, np.float64)
    if values.ndim != 1:
        raise ConfigError(f"hard has the shape {values.shape}; allowed: (N,), one number for each item")
    found = OddImages.unknown(len(values))
    known = np.flatnonzero(np.isfinite(values))
    low, middle, high = np.quantile(values[known], (0.25, 0.5, 0.75)) if len(known) >= _FEWEST else (0, 0, 0)
    for sign, spread, name in ((1, high - middle, "unusually hard"), (-1, middle - low, "unusually easy")):
        if spread <= 0:
            continue
        unit = spread / _QUARTILE
        side = known[sign * (values[known] - middle) >= 0]
        side = side[np.argsort(-sign * values[side])]  # equal ones get the same, in whatever order
        expected = len(known) * _upper_tail(sign * (values[side] - middle) / unit)
        ordinary = np.minimum(1, expected / np.arange(1, len(side) + 1))
        found.p_odd[side] = 1 - np.minimum.accumulate(ordinary[::-1])[::-1]
        for item in side[found.p_odd[side] >= _ODD]:
            found.end[item] = name
    return found


def _upper_tail(t: Floats) -> Floats:
    """The probability of more than ``t`` among ordinary images: they follow Student's t distribution with five degrees
    of freedom, whose tails are heavier than the normal one's.

    In closed form, to 1e-15 (Abramowitz and Stegun 26.7.3): scipy would take a fifth of a second and 20 MB of each
    run's reporter.
    """
    inside = 1 / (1 + t**2 / 5)
    return 0.5 - (np.arctan(t / math.sqrt(5)) + t / math.sqrt(5) * inside * (1 + inside * 2 / 3)) / math.pi


@dataclass(frozen=True)
class NearDuplicates:
    """Args:
    distance: (N,) to the nearest other picture; 1 is the distance between two pictures of the set, in the middle.
    nearest: (N,) which picture that is; -1 where there is no other.
    groups: pictures that are nearly the same, each group ascending; no picture is in two.
    """

    distance: Floats
    nearest: np.ndarray[Any, np.dtype[np.int64]]
    groups: list[list[int]]


def near_duplicates(features: Any, *, near: float = _NEAR) -> NearDuplicates:
    """Pictures that are nearly the same, by the distance of their features.

    Args:
        features: (N, D) finite numbers.
        near: at most so far apart, as a share of the distance between two pictures of the set, in the middle.

    Raises:
        ConfigError: ``features`` is not (N, D), or ``near`` is not from 0 to 1.
        MissingExtraError: scikit-learn, of the extra ``evidence``, is not installed.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(50, 8))
        >>> rows[7] = rows[3] + 0.01
        >>> near_duplicates(rows).groups
        [[3, 7]]
    """
    require("evidence", "sklearn")
    rows = np.ascontiguousarray(features, np.float32)
    if rows.ndim != 2:
        raise ConfigError(f"features has the shape {rows.shape}; allowed: (N, D)")
    if not 0 <= near <= 1:
        raise ConfigError(f"near is {near!r}; allowed: from 0 to 1")
    if len(rows) < 2:
        return NearDuplicates(np.full(len(rows), np.nan), np.full(len(rows), -1), [])
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(rows), size=(2, 4 * _SAMPLE))
    apart = np.sqrt(((rows[one[one != other]] - rows[other[one != other]]) ** 2).sum(1))
    unit = float(np.median(apart)) or 1.0
    distance, nearest = _nearest(rows)
    pairs = [(int(item), int(nearest[item])) for item in np.flatnonzero(distance <= near * unit)]
    return NearDuplicates(distance / unit, nearest, _groups(len(rows), pairs))


def _nearest(rows: Any) -> tuple[Floats, Any]:
    """Distance and index of the nearest other row: exact among the nearest few by the main components."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    components = min(_COMPONENTS, *rows.shape)
    sample = rows[np.random.default_rng(1).choice(len(rows), min(len(rows), _SAMPLE), replace=False)]
    with np.errstate(invalid="ignore"):  # pictures that are all the same have no share of a variance of 0
        short = PCA(components, random_state=0).fit(sample).transform(rows) if components < rows.shape[1] else rows
    few = min(len(rows), 6)
    found = NearestNeighbors(n_neighbors=few).fit(short).kneighbors(short, return_distance=False)
    distance = np.full(len(rows), np.inf)
    nearest = np.full(len(rows), -1)
    for column in found.T:
        apart = np.concatenate(
            [
                np.sqrt(((rows[part] - rows[column[part]]) ** 2).sum(1, dtype=np.float64))
                for part in np.array_split(np.arange(len(rows)), -(-len(rows) // 1024))
            ]
        )
        better = (apart < distance) & (column != np.arange(len(rows)))
        distance[better], nearest[better] = apart[better], column[better]
    return distance, nearest


def _groups(count: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    one, other = np.array(pairs).T
    _, label = connected_components(coo_array((np.ones(len(one)), (one, other)), (count, count)), directed=False)
    found: dict[int, list[int]] = {}
    for item in np.union1d(one, other).tolist():
        found.setdefault(int(label[item]), []).append(item)
    return sorted(found.values())
