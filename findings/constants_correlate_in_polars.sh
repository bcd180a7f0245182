#!/usr/bin/env bash
# In polars two losses that never change correlate by 1 or -1, one of them with the step by 0.39, and rolling_corr is -inf.
#
# Versions: polars 2.1.0, duckdb 2.0.1; Python 3.11
# Behaviour: a correlation with a constant has no value. pl.corr gives NaN for some constants (0.25, 0.5), as DuckDB does
#   for all, and a number where the mean of the constant is not quite the constant: 1,000 losses of 0.1 and of 0.2 correlate
#   by 1, those of 0.7 and 0.2 by -1, those of 0.3 with their steps by 0.39. As a ranking of what a loss follows, frozen
#   ones come first. pl.rolling_corr gives -inf between NaN. Spearman's is NaN. Which constants are hit depends on the number
#   of rows.
# Seen: "with 0.2: {0.1: 1.0, 0.25: nan, 0.3: -0.228, 0.5: nan, 0.7: -1.0, 1.1: 1.0}", "with the step: {0.1: 0.0, 0.25: nan,
#   0.3: 0.395, 0.5: nan, 0.7: 0.0, 1.1: 0.0}", "DuckDB: all NaN", "rolling: -inf among them"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 duckdb==2.0.1
cat > "$folder/run.py" <<'PY'
import math
import duckdb, polars as pl

ROWS, CONSTANTS = 1000, (0.1, 0.25, 0.3, 0.5, 0.7, 1.1)
other, step, spearman, duck = {}, {}, {}, {}
for loss in CONSTANTS:
    frame = pl.DataFrame({"loss": [loss] * ROWS, "other": [0.2] * ROWS, "step": range(ROWS)})
    other[loss], step[loss], spearman[loss] = frame.select(
        pl.corr("loss", "other").alias("a"), pl.corr("loss", "step").alias("b"),
        pl.corr("loss", "step", method="spearman").alias("c")).row(0)
    query = f"SELECT corr({loss}::DOUBLE, 0.2::DOUBLE), corr({loss}::DOUBLE, step) FROM range({ROWS}) steps(step)"
    duck[loss] = duckdb.sql(query).fetchall()[0]
    rolling = frame.select(pl.rolling_corr("loss", "step", window_size=50)).to_series()
    if loss == 0.1:
        print("rolling of 0.1:", "-inf or inf among them" if rolling.is_infinite().any() else "finite or NaN")
        assert rolling.is_infinite().any()
print("with 0.2:", {key: round(value, 3) for key, value in other.items()})
print("with the step:", {key: round(value, 3) for key, value in step.items()})
print("DuckDB:", duck)
assert all(math.isnan(value) for pair in duck.values() for value in pair) and all(map(math.isnan, spearman.values()))
assert math.isnan(other[0.25]) and math.isnan(other[0.5]) and math.isnan(step[0.5])
assert other[0.1] == 1 and other[0.7] == -1 and step[0.3] > 0.3
PY
"$folder/venv/bin/python" "$folder/run.py"
