"""The figures of losses that are in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from loss_logging.reports.report import Summary, TopRecord

__all__ = ["QUANTILES", "Floats", "Integers", "empty_summary", "finite", "grouped", "quantiles_of", "summary_of"]

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def grouped(places: Integers, losses: Floats, groups: int) -> tuple[Floats, list[Floats]]:
    """The losses by their places in one array, and the part of each place in it, ascending.

    Args:
        places, losses: (n,) each; places are from 0 to ``groups`` - 1, and ``groups`` is 1 or more.

    >>> grouped(np.array([1, 0, 1]), np.array([0.75, 0.5, 0.25]), 2)[1]
    [array([0.5]), array([0.25, 0.75])]
    """
    places = places.astype(np.uint16 if groups <= 2**16 else np.uint32, copy=False)  # of 16 bits, they sort by radix
    every = losses[np.argsort(places, kind="stable")]
    parts = np.split(every, np.cumsum(np.bincount(places, minlength=groups))[:-1])
    for part in parts:
        part.sort()
    return every, parts


def summary_of(losses: Floats, count: int, top_k: Sequence[TopRecord] = ()) -> Summary:
    """The figures of ``count`` records.

    Args:
        losses: those of the records that are finite, ascending.
        count: the number of records.
        top_k: the highest of the losses.

    >>> summary_of(np.array([1.0, 3.0]), 3).std
    1.0
    """
    if not len(losses):
        return msgspec.structs.replace(empty_summary(), count=count, non_finite=count)
    quantiles = quantiles_of(losses)
    mean, std = _moments(losses)
    return Summary(
        count=count,
        mean=mean,
        median=quantiles[2],
        min=float(losses[0]),
        max=float(losses[-1]),
        std=std,
        non_finite=count - len(losses),
        quantiles=dict(zip(map(str, QUANTILES), quantiles, strict=True)),
        top_k=list(top_k),
    )


def empty_summary() -> Summary:
    """The figures without any records."""
    return Summary(0, None, None, None, None, None, 0, dict.fromkeys(map(str, QUANTILES)))


def quantiles_of(losses: Floats) -> list[float]:
    """`QUANTILES` of ascending losses, linearly interpolated."""
    at = np.asarray(QUANTILES) * (len(losses) - 1)
    low = np.floor(at).astype(np.int64)
    share = at - low
    found: list[float] = (losses[low] * (1 - share) + losses[np.ceil(at).astype(np.int64)] * share).tolist()
    return found


def finite(value: float | None) -> float | None:
    """The figure, or None if it overflowed: losses near 1e308 are finite, but the sum of two is not."""
    return value if value is not None and math.isfinite(value) else None


def _moments(losses: Floats) -> tuple[float | None, float | None]:
    """Mean and population standard deviation of ascending losses."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = finite(float(losses.mean()))
        if mean is None:
            return None, None
        mean = min(max(mean, float(losses[0])), float(losses[-1]))  # equal losses have no deviation, whatever rounds
        deviations = losses - mean
        return mean, finite(math.sqrt(np.square(deviations, out=deviations).mean()))
