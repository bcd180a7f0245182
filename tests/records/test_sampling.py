"""loss_logging/records/sampling.py"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from helpers import examples, record
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.records.columns import table_from_records
from loss_logging.records.sampling import Sampler


def batch(steps: list[int]) -> pa.RecordBatch:
    """Records of these steps whose path is their place in the list."""
    rows = [record(path=str(i), step=step) for i, step in enumerate(steps)]
    return table_from_records(rows).combine_chunks().to_batches()[0]


def kept(sampler: Sampler, whole: pa.RecordBatch, cuts: list[int]) -> list[str]:
    """The paths that are kept when the records come in pieces."""
    ends = [*sorted(cuts), whole.num_rows]
    pieces = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [path for piece in pieces for path in sampler(piece)["path"].to_pylist()]


@settings(deadline=None, max_examples=examples(100))
@given(
    runs=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=6),
    fraction=st.sampled_from([0.3, 0.7, 1.0]),
    per_step=st.sampled_from([None, 1, 3]),
)
def test_batching_does_not_matter(runs: list[int], cuts: list[int], fraction: float, per_step: int | None) -> None:
    """The same records are kept however they are cut into batches, and never more of a step than allowed."""
    whole = batch([step for step, n in enumerate(runs) for _ in range(n)])
    in_one = kept(Sampler(fraction, per_step, 7), whole, [])
    assert kept(Sampler(fraction, per_step, 7), whole, [min(cut, whole.num_rows) for cut in cuts]) == in_one
    steps = whole["step"].to_pylist()
    assert all(n <= (per_step or 99) for n in Counter(steps[int(path)] for path in in_one).values())


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.9])
def test_fraction_and_evenness(fraction: float) -> None:
    """About the right share is kept, and every place in a batch gets its turn."""
    steps = np.repeat(np.arange(10_000), 4)
    table = batch([0]).schema.empty_table()
    rows = {"step": steps, "path": np.tile(["0", "1", "2", "3"], 10_000)}
    fill = batch([0]).to_pylist()[0]
    columns = [pa.array(rows.get(name, [fill[name]] * len(steps)), table.schema.field(name).type) for name in fill]
    got = Sampler(fraction, None, 0)(pa.RecordBatch.from_arrays(columns, schema=table.schema))
    share = got.num_rows / len(steps)
    assert share == pytest.approx(fraction, abs=4 * (fraction / len(steps)) ** 0.5)
    counts = Counter(got["path"].to_pylist())
    assert len(counts) == 4
    assert max(counts.values()) < 1.5 * min(counts.values())


def test_another_seed_keeps_others_and_a_resumed_run_the_same() -> None:
    """What is kept of a step depends on the seed and the step alone, not on where the run began."""
    whole = batch([step for step in range(40) for _ in range(5)])
    all_of_it = kept(Sampler(0.5, 2, 1), whole, [])
    assert kept(Sampler(0.5, 2, 2), whole, []) != all_of_it
    assert kept(Sampler(0.5, 2, 1), whole[100:], []) == [path for path in all_of_it if int(path) >= 100]
