"""Evidence from caption dropout."""

from __future__ import annotations

import numpy as np
import pytest

from loss_logging.errors import ConfigError
from loss_logging.evidence.dropped import dropped_evidence


def test_captions_that_hurt_are_told_from_those_that_help() -> None:
    """Although timestep and time of training change the loss far more than a caption does."""
    rng = np.random.default_rng(0)
    items, records = 100, 60_000
    item, dropped = rng.integers(items, size=records), rng.random(records) < 0.1
    timestep, step = rng.random(records), np.arange(records)
    effect = np.where(item < 10, 0.1, -0.1) * ~dropped
    loss = (1 + effect) * (0.2 + 2 * timestep) * (1 + np.exp(-step / 10_000)) * rng.gamma(20, 1 / 20, records)
    found = dropped_evidence(item, loss, dropped, items=items, timestep=timestep, step=step)
    assert found.mean[:10].min() > found.mean[10:].max()
    assert (found.mean[:10] > 0).all()
    assert (found.mean[10:] < 0).mean() > 0.9
    assert (
        abs(np.median(np.abs(found.mean - np.where(np.arange(items) < 10, 1, -1) * 0.4)) / np.median(found.error)) < 3
    )


def test_items_never_dropped_or_always_are_unknown() -> None:
    """There is nothing to compare; losses that are not finite do not count."""
    item = np.repeat(np.arange(3), 10)
    dropped = np.concatenate([np.zeros(10), np.ones(10), np.arange(10) % 2]).astype(bool)
    loss = np.ones(30)
    loss[29] = np.nan
    found = dropped_evidence(item, loss, dropped, items=4)
    assert found.n.tolist()[:2] == [0, 0]
    assert found.n[2] > 0
    assert np.isnan(found.mean[[0, 1, 3]]).all()


def test_no_record_at_all_leaves_everything_unknown() -> None:
    """Of an empty log nothing is known."""
    none = np.zeros(0)
    assert dropped_evidence(none, none, none, items=2, timestep=none, step=none).n.tolist() == [0, 0]


def test_arrays_of_other_lengths_and_items_out_of_range_are_refused() -> None:
    """The argument, what it is, and what is allowed."""
    with pytest.raises(ConfigError, match=r"loss has the shape \(1,\); allowed: \(2,\), as item has"):
        dropped_evidence([0, 1], [1.0], [True, False], items=2)
    with pytest.raises(ConfigError, match="item is from 0 to 5; allowed: from 0 to 1"):
        dropped_evidence([0, 5], [1.0, 1.0], [True, False], items=2)
