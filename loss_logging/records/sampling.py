"""Sampler: selects the records that a run keeps, and the same ones in each repetition of the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from loss_logging.support.chance import uniform

__all__ = ["Sampler"]


class Sampler:
    """Keeps a fraction of the records of each step, and at most ``per_step`` of them.

    The choice depends on a record's step and place within the step, so that each item is kept at some steps, and a
    repeated or resumed run keeps the same records.

    Args:
        fraction: the share of records to keep, in (0, 1].
        per_step: largest number of records to keep of one step, after sampling; None for no limit.
        seed: seed of the choice.
    """

    def __init__(self, fraction: float, per_step: int | None, seed: int) -> None:
        self._fraction = fraction
        self._per_step = per_step
        self._seed = seed
        self._step = -1
        self._seen = 0
        self._kept = 0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of ``batch`` that are kept."""
        if (self._fraction >= 1 and self._per_step is None) or not batch.num_rows:
            return batch
        steps = batch["step"].to_numpy()
        goes_on = (steps == steps[0]) & (steps[0] == self._step)  # rows of the step that the last batch ended in
        place = _place_in_step(steps) + np.where(goes_on, self._seen, 0)
        keep = uniform(self._seed, steps, place) < self._fraction
        if self._per_step is not None:
            keep &= _place_in_step(steps, keep) + np.where(goes_on, self._kept, 0) < self._per_step
        last = steps == steps[-1]
        self._kept = int(np.count_nonzero(keep & last)) + (self._kept if goes_on[-1] else 0)
        self._seen = int(place[-1]) + 1
        self._step = int(steps[-1])
        return batch.filter(pa.array(keep))


def _place_in_step(steps: Any, keep: Any = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each row, the number of earlier (kept) rows of the same step."""
    ones = np.ones(len(steps), np.int64) if keep is None else keep.astype(np.int64)
    before = np.cumsum(ones) - ones
    starts = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
    place: np.ndarray[Any, np.dtype[np.int64]] = before - np.repeat(before[starts], np.diff(np.r_[starts, len(steps)]))
    return place
