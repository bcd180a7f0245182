"""Evidence for nothing: records whose caption was dropped beside those whose caption was kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from loss_logging.errors import ConfigError
from loss_logging.evidence.losses import LossEvidence

__all__ = ["dropped_evidence"]

_BINS = 20
_FEWEST = 8


def dropped_evidence(
    item: Any, loss: Any, dropped: Any, *, items: int, timestep: Any = None, step: Any = None, blocks: int = 10
) -> LossEvidence:
    """How much worse the records of an item with its caption are than those without it: unpaired, so weak.

    Losses are standardised among the records of the same timestep bin and time of training; the mismatch is the mean of
    the kept ones less that of the dropped ones, in standard deviations. Noise and timestep differ between the two, so
    that it takes many records: use it where there are no pairs.

    Args:
        item: (R,) which item a record is of, from 0.
        loss: (R,) its loss; what is not finite is left out.
        dropped: (R,) True where the caption was dropped.
        items: N.
        timestep: (R,) on any scale; None where there are none.
        step: (R,) of training; None where there are none.
        blocks: how many times of training, of equally many records, are told apart.

    Returns:
        `LossEvidence`; ``n`` is the number of records that an even split would need for the same error, 0 where there
        is no dropped or no kept record.

    Raises:
        ConfigError: arrays are not as long as ``item``, or an item is not from 0 to N - 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> item, dropped = np.arange(4000) % 20, rng.random(4000) < 0.1
        >>> loss = rng.normal(1, 0.1, 4000) + np.where((item == 3) & ~dropped, 0.2, 0)
        >>> int(dropped_evidence(item, loss, dropped, items=20).mean.argmax())
        3
    """
    item, loss = np.asarray(item, np.int64), np.asarray(loss, np.float64)
    dropped = np.asarray(dropped, np.bool_)
    given = {"loss": loss, "dropped": dropped, "timestep": timestep, "step": step}
    for name, values in given.items():
        if values is not None and np.shape(values) != item.shape:
            raise ConfigError(f"{name} has the shape {np.shape(values)}; allowed: {item.shape}, as item has")
    if len(item) and not 0 <= item.min() <= item.max() < items:
        raise ConfigError(f"item is from {item.min()} to {item.max()}; allowed: from 0 to {items - 1}")
    cell = _places(timestep, _BINS, item) * blocks + _places(step, blocks, item)
    finite = np.isfinite(loss)
    item, dropped, score = item[finite], dropped[finite], _standardised(loss[finite], cell[finite])
    kept, gone = (_moments(item[part], score[part], items) for part in (~dropped, dropped))
    return _difference(*zip(kept, gone, strict=True))


def _difference(n: Any, mean: Any, square: Any) -> LossEvidence:
    """Kept less dropped, with the spread that both share."""
    (kept, gone), both = n, (n[0] > 0) & (n[1] > 0)
    freedom = kept + gone - 2
    usual = np.median(((square[0] + square[1]) / np.maximum(freedom, 1))[both & (freedom > 0)]) if both.any() else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        even = np.where(both, 4 / (1 / kept + 1 / gone), 0)
        error = np.where(both, np.sqrt(usual * (1 / kept + 1 / gone)), np.nan)
    return LossEvidence(np.where(both, mean[0] - mean[1], np.nan), even, error)


def _places(values: Any, count: int, item: Any) -> Any:
    """Which of ``count`` equally full ranges each value lies in; 0 where there are no values."""
    if values is None or not len(item):
        return np.zeros(len(item), np.int64)
    known = np.asarray(values, np.float64)
    edges = np.nanquantile(known, np.arange(1, count) / count)
    return np.searchsorted(edges, np.where(np.isnan(known), edges[0] if count > 1 else 0, known), "right")


def _standardised(loss: Any, cell: Any) -> Any:
    """Each loss less the mean of its cell, over the spread; of all, where a cell holds few or does not vary."""
    if not len(loss):
        return loss
    cells = int(cell.max()) + 1
    n = np.bincount(cell, minlength=cells)
    mean = np.bincount(cell, loss, cells) / np.maximum(n, 1)
    spread = np.sqrt(np.maximum(np.bincount(cell, loss**2, cells) / np.maximum(n, 1) - mean**2, 0))
    few = (n < _FEWEST) | (spread <= 1e-12 * np.abs(mean))
    mean[few], spread[few] = loss.mean(), loss.std()
    return (loss - mean[cell]) / np.where(spread[cell] > 0, spread[cell], 1)


def _moments(item: Any, score: Any, items: int) -> tuple[Any, Any, Any]:
    """Count, mean and sum of squared deviations of each item."""
    n = np.bincount(item, minlength=items).astype(np.float64)
    mean = np.bincount(item, score, items) / np.maximum(n, 1)
    return n, mean, np.bincount(item, (score - mean[item]) ** 2, items)
