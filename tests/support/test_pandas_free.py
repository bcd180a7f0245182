from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import pyarrow as pa
from loss_logging.support.pandas_free import leave_pandas_out
leave_pandas_out()
table = pa.table({"loss": [0.5, 0.25]})
assert "pandas" not in sys.modules
frame = table.to_pandas()
assert type(frame).__module__.startswith("pandas") and frame["loss"].sum() == 0.75
assert pa.Table.from_pandas(frame)["loss"].to_pylist() == [0.5, 0.25]
import pandas as pd
assert pa.array(pd.Series([1.0, None])).null_count == 1
"""


def test_pandas_is_loaded_only_by_who_asks_for_it() -> None:
    """Arrays are made without it, and tables become frames and arrays of series all the same."""
    subprocess.run([sys.executable, "-c", CODE], check=True)
