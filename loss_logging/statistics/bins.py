"""Bins on the logarithm of the loss: their edges, and the figures from their counts.

Counts per bin can be added over ranks and save steps, quantiles cannot. `sql/samples.sql` puts a loss into its bin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loss_logging.reports.report import Histogram

__all__ = ["histogram", "quantiles"]

_OFFSET = 70_000
_PER_OCTAVE = 64
_SHOWN = 64
"""The largest number of bins of a shown histogram; W&B takes at most 512."""
_LAST_OCTAVE_BIN = 1024 * _PER_OCTAVE - 1
_LARGEST = np.finfo(np.float64).max
_LOW_TAIL = 0.001
"""The share of the lowest losses in the first shown bin, so that a few tiny losses do not compress the rest."""


def bin_edges(bins: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lower and upper edge of each bin.

    >>> low, high = bin_edges([70000, 70064, 0])
    >>> low.tolist(), high.round(3).tolist()
    ([1.0, 2.0, 0.0], [1.011, 2.022, 0.0])
    """
    signed = np.asarray(bins, dtype=np.int64)
    octave = np.minimum(np.abs(signed) - _OFFSET, _LAST_OCTAVE_BIN)  # log2 of the largest float rounds up to 1024
    with np.errstate(over="ignore"):
        near, far = 2.0 ** (octave / _PER_OCTAVE), np.minimum(2.0 ** ((octave + 1) / _PER_OCTAVE), _LARGEST)
    low = np.where(signed > 0, near, np.where(signed < 0, -far, 0.0))
    high = np.where(signed > 0, far, np.where(signed < 0, -near, 0.0))
    return low, high


def quantiles(
    bins: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], at: Sequence[float], lowest: float, highest: float
) -> list[float]:
    """Quantiles from ascending bins, with linear interpolation between two adjacent losses, as in NumPy. The losses of
    a bin count as evenly spread, so the error is at most the width of a bin, 1.1%.

    Args:
        bins, counts: ascending fine bins and the number of losses in each, (n,) each.
        at: the quantiles, from 0 to 1.
        lowest, highest: the smallest and largest loss; no quantile is outside them.

    >>> quantiles(np.array([0, 70000]), np.array([3, 1]), [0.5, 1.0], lowest=0.0, highest=1.0)
    [0.0, 1.0]
    """
    low, high = bin_edges(bins)
    through = np.cumsum(counts)
    rank = np.asarray(at) * (through[-1] - 1)
    before, after = np.floor(rank).astype(np.int64), np.ceil(rank).astype(np.int64)

    def loss(rank: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        place = np.searchsorted(through, rank, side="right")
        inside = (rank - (through[place] - counts[place]) + 0.5) / counts[place]
        found = np.clip(low[place] + inside * (high[place] - low[place]), lowest, highest)
        return np.where(rank == 0, lowest, np.where(rank == through[-1] - 1, highest, found))

    share = rank - before
    between = (1 - share) * loss(before) + share * loss(after)  # the difference of two may be more than a float holds
    return [float(value) for value in np.clip(between, lowest, highest)]  # two rounded shares may be more than all


def histogram(bins: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], lowest: float, highest: float) -> Histogram:
    """A histogram of at most 64 bins; its counts add up to the number of finite losses.

    Positive losses have logarithmic bins whose edges are edges of the fine bins, so the counts are exact; the lowest
    0.1% share the first bin. With negative losses the bins are linear, and a loss counts at the centre of its fine bin.

    Args:
        bins, counts: ascending fine bins and the number of losses in each, (n,) each.
        lowest, highest: the smallest and largest finite loss.
    """
    if lowest < 0 or highest == 0:
        return _linear(bins, counts, lowest, highest)
    start = bins[np.searchsorted(np.cumsum(counts), _LOW_TAIL * counts.sum(), side="right")]
    start = start if start > 0 else bins[bins > 0][0]
    width = 1
    while bins[-1] // width - start // width >= _SHOWN:
        width *= 2
    first, last = int(start // width), int(bins[-1] // width)
    shown = np.zeros(last - first + 1, np.int64)
    np.add.at(shown, np.maximum(bins // width, first) - first, counts)
    low, high = bin_edges(np.append(np.arange(first, last + 1) * width, (last + 1) * width - 1))
    edges = np.append(low[:-1], high[-1])
    edges[0] = min(edges[0], lowest)
    edges[-1] = max(edges[-1], highest)
    if not _ascend(edges):  # fine bins of subnormal losses are narrower than the spacing of floats
        return _linear(bins, counts, lowest, highest)
    return Histogram(edges.tolist(), shown.tolist())


def _linear(bins: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], lowest: float, highest: float) -> Histogram:
    low, high = bin_edges(bins)
    centres = np.clip(low / 2 + high / 2, lowest, highest)
    # Halved, because highest - lowest may exceed the largest float.
    edges = 2 * np.linspace(lowest / 2, highest / 2, _SHOWN + 1)
    edges[0], edges[-1] = lowest, highest
    if not _ascend(edges):  # equal, or too near each other for as many bins
        margin = max(0.5, 1e-6 * abs(lowest))
        edges = np.linspace(max(lowest - margin, -_LARGEST), lowest + margin, _SHOWN + 1)
    shown = np.zeros(_SHOWN, np.int64)
    np.add.at(shown, np.clip(np.searchsorted(edges, centres, side="right") - 1, 0, _SHOWN - 1), counts)
    return Histogram(edges.tolist(), shown.tolist())


def _ascend(edges: npt.NDArray[np.float64]) -> bool:
    return bool((np.diff(edges) > 0).all())
