"""Batches as columns of the log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.records.batches import Batch, columns_of
from loss_logging.records.columns import SCHEMA


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Figures as lists, arrays or tensors, each of which may be missing."""
    size = draw(st.integers(1, 3))

    def figures() -> Any:
        values = draw(st.lists(st.floats(width=32, allow_nan=False), min_size=size, max_size=size))
        return draw(st.sampled_from([list, np.array, torch.tensor]))(values)

    def some() -> Any:
        return figures() if draw(st.booleans()) else None

    names = [f"{i}.png" for i in range(size)]
    rivals = draw(st.lists(st.sampled_from(["a dog", " ", ""]), min_size=size, max_size=size))
    components = {"mse": figures()} if draw(st.booleans()) else None
    both = (figures(), rivals) if draw(st.booleans()) else (None, None)
    datasets = draw(st.sampled_from(["d", ["d"] * size]))
    return Batch(
        draw(st.integers(0, 9)), figures(), names, datasets, names, some(), some(), components, some(), some(), *both
    )


@given(st.lists(batches(), min_size=1, max_size=4))
def test_batches_together_are_the_batches_one_after_the_other(several: list[Batch]) -> None:
    """Whatever the others have and what their figures are: every record is the one of its batch alone."""
    together = pa.table([*columns_of(several).columns], schema=SCHEMA)
    alone = pa.concat_tables([pa.table([*columns_of([one]).columns], schema=SCHEMA) for one in several])
    assert together.to_pylist() == alone.to_pylist()
