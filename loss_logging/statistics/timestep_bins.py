"""Bins on the timestep axis: of equal width on a stated scale, or with equal counts of a run's first timesteps.

A scale that is guessed from the highest timestep is wrong for schedules of 50 or 100 steps and for sigmas, and puts all
records into one bin. Quantiles need no scale.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from loss_logging.statistics.queries import Queries

__all__ = ["MOST_BINS", "are_of_two_scales", "bins_of_scale", "bins_of_timesteps", "first_timesteps"]

MOST_BINS = 20
_ENOUGH = 10 * MOST_BINS
"""The number of first timesteps that decide the bins of a run."""


def bins_of_scale(scale: float) -> list[float]:
    """The 21 edges of 20 equal bins from 0 to ``scale``.

    >>> bins_of_scale(1000)[:3], bins_of_scale(1000)[-1]
    ([0.0, 50.0, 100.0], 1000.0)
    """
    return [i * scale / MOST_BINS for i in range(MOST_BINS + 1)]


def bins_of_timesteps(values: npt.ArrayLike, counts: npt.ArrayLike) -> list[float]:
    """Ascending edges of at most 20 bins that hold about the same number of timesteps.

    A value is in only one bin, so a very frequent value has its own bin. Up to 20 different values have one bin each.
    Inner edges are halfway between two values; the outer edges are the lowest and the highest value.

    Args:
        values: (n,) the different timesteps, ascending, at least one.
        counts: (n,) the number of each.

    >>> bins_of_timesteps([249, 499, 749, 999], [5, 5, 5, 5])
    [249.0, 374.0, 624.0, 874.0, 999.0]
    >>> bins_of_timesteps([0.5], [9])
    [0.25, 0.75]
    >>> bins_of_timesteps([1.5e308], [1])
    [7.5e+307, 1.7976931348623157e+308]
    """
    at = np.asarray(values, dtype=np.float64)
    if len(at) == 1:
        margin = abs(float(at[0])) / 2 or 0.5
        edges = np.nan_to_num([float(at[0]) - margin, float(at[0]) + margin])  # limits overflows to the largest float
        return [float(edge) for edge in edges]
    starts = np.arange(1, len(at)) if len(at) <= MOST_BINS else _starts(np.cumsum(counts))
    inner = at[starts - 1] / 2 + at[starts] / 2  # halved: the sum of two may exceed the largest float
    return [float(at[0]), *inner.tolist(), float(at[-1])]


def are_of_two_scales(edges: list[float]) -> bool:
    """Whether bins of equal counts are of timesteps from 0 to 1 and of hundreds, and hardly any between.

    Sigmas reach from below 1 to above 100 as well, but many of them lie between 1 and 10.

    >>> are_of_two_scales([0.0, 0.3, 0.7, 50.0, 400.0, 700.0, 999.0]), are_of_two_scales([0.0, 250.0, 500.0, 999.0])
    (True, False)
    >>> are_of_two_scales([0.01, 0.1, 0.4, 1.5, 4.0, 20.0, 80.0, 300.0])
    False
    """
    inner = edges[1:-1]
    low = sum(0 < edge < 1 for edge in inner)
    between = sum(1 <= edge <= 10 for edge in inner)
    high = sum(edge > 10 for edge in inner)
    return edges[0] >= 0 and edges[-1] > 100 and low >= 2 and between <= 1 and high >= 2  # 1: halfway


def _starts(through: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The start of the second and each later bin; ``through`` is the cumulative count up to each value."""
    starts: list[int] = []
    used = 0
    for left in range(MOST_BINS, 1, -1):
        goal = used + (through[-1] - used) / left
        end = int(np.searchsorted(through, goal))  # the first value with which the bin is full
        before = through[end - 1] if end > (starts[-1] if starts else 0) else used
        if before > used and goal - before < through[end] - goal:
            end -= 1
        if end + 1 == len(through):
            break
        starts.append(end + 1)
        used = int(through[end])
    return np.array(starts, dtype=np.int64)


def first_timesteps(queries: Queries, block_steps: int, after: int, through: int) -> tuple[list[float] | None, bool]:
    """The edges from the timesteps up to step ``through``, None without any; and whether later ones may change them.

    The first blocks of ``block_steps`` steps with 200 timesteps together decide. The edges depend only on the records,
    so a resumed run, or a later look at it, has the same bins.

    Args:
        after: a step up to which there are no timesteps.
    """
    blocks: list[tuple[int, int]] = queries.rows("timesteps_by_block", after=after, through=through)
    seen = itertools.accumulate(n for _, n in blocks)
    whole = (block * block_steps for (block, _), n in zip(blocks, seen, strict=True) if n >= _ENOUGH)
    end = next((step for step in whole if step <= through), None)
    found: list[tuple[Any, ...]] = queries.rows("timesteps", after=after, through=through if end is None else end)
    if not found:
        return None, end is not None
    values, counts, lowest, highest = zip(*found, strict=True)
    edges = bins_of_timesteps(values, counts)  # of rounded ones
    return [min(edges[0], *lowest), *edges[1:-1], max(edges[-1], *highest)], end is not None
