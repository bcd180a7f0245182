from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from built_pages import unpacked
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.pages.items import figures_block, items_block


@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1))
def test_figures_are_rounded_to_four_digits(values: list[float]) -> None:
    """Whatever the figure: within half a unit of its fourth digit, or None when it is not finite."""
    table = pa.table({"dataset": ["d"] * len(values), "path": ["p"] * len(values), "loss": values})
    for value, shown in zip(values, unpacked(items_block(table, 1), figures_block(table))["loss"], strict=True):
        if np.isfinite(value):
            assert shown == pytest.approx(value, rel=5.1e-4, abs=1e-300)
        else:
            assert shown is None
