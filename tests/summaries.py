"""Records that vary, and the figures of a summary by NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from loss_logging.reports.report import Summary

QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
ORDINARY = st.floats(0.0625, 8, width=16)
NON_FINITE = st.sampled_from([math.nan, math.inf, -math.inf])


def records(loss: st.SearchStrategy[float], max_size: int = 60) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Records of few items, datasets, steps and timesteps, so that they meet; an item once a step."""
    one = st.fixed_dictionaries(
        {
            "path": st.sampled_from("abcdef"),
            "dataset": st.sampled_from(["cats", "dogs", ""]),
            "caption": st.sampled_from(["", "one", "two"]),
            "loss": loss,
            "step": st.integers(0, 17),
            "timestep": st.sampled_from([None, 0.0, 0.12, 0.13, 0.975, 1.0]),
            "loss_empty": st.none() | st.floats(0, 4, width=16),
            "loss_rival": st.none() | st.floats(0, 4, width=16),
            "rival": st.sampled_from([None, "one", "other"]),
            "caption_dropped": st.booleans(),
        }
    )
    rows = st.lists(one, max_size=max_size, unique_by=lambda row: (row["dataset"], row["path"], row["step"]))
    return rows.map(lambda rows: sorted(rows, key=lambda row: row["step"]))


def by_dataset(rows: Sequence[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    """The records of each dataset, and under None all of them."""
    names = sorted({row["dataset"] or "unknown" for row in rows})
    groups: dict[str | None, list[dict[str, Any]]] = {None: list(rows)}
    return groups | {name: [row for row in rows if (row["dataset"] or "unknown") == name] for name in names}


def assert_summary(summary: Summary, rows: Sequence[dict[str, Any]]) -> None:
    """The figures are NumPy's."""
    losses = np.array([row["loss"] for row in rows if math.isfinite(row["loss"])])
    assert summary.count == len(rows)
    assert summary.non_finite == len(rows) - len(losses)
    if not len(losses):
        assert {summary.mean, summary.median, summary.min, summary.max, summary.std} == {None}
        assert set(summary.quantiles.values()) == {None}
        assert summary.top_k == []
        return
    size = float(abs(losses).max())
    tolerance = {"rel": 1e-9, "abs": 1e-9 * size}
    assert summary.min == losses.min()
    assert summary.max == losses.max()
    assert summary.mean == pytest.approx(losses.mean(), **tolerance)
    assert summary.std == pytest.approx(losses.std(), rel=1e-7, abs=1e-7 * size)
    assert summary.median == pytest.approx(np.median(losses), **tolerance)
    assert summary.quantile_method == "exact"
    assert list(summary.quantiles) == [str(q) for q in QUANTILES]
    assert list(summary.quantiles.values()) == pytest.approx(np.quantile(losses, QUANTILES).tolist(), **tolerance)
