#!/usr/bin/env bash
# In polars the sum of 100,000 float16 losses of 0.1 is 10,000, and 256 in a group_by; in float32 it is off by percents.
#
# Versions: polars 2.1.0; Python 3.11
# Behaviour: sum, cum_sum and sum().over() of the same column are right, and so is the mean in the same group_by. Its sum adds
#   one loss after another in the column's own type, and grows no more once a loss is less than half a step of it: of 20
#   million float32 losses of 0.1 it makes 2,097,152 with one thread, 2,175,874 with two, and 1,913,099 with four. Nothing
#   warns; a sum of float32 losses for each data set is the ordinary case.
# Seen: "float16, 100000 losses of 0.1: sum 10000, sum in group_by 256, mean in group_by 0.099975586, sum over 9992, cum_sum
#   10000", "float32, 20000000 losses of 0.1: sum 2000000.1, sum in group_by 2097152, mean in group_by 0.1, ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy, polars

seen = {}
for name, kind, rows in (("float16", numpy.float16, 100_000), ("float32", numpy.float32, 20_000_000)):
    losses = numpy.full(rows, 0.1, dtype=kind)
    frame = polars.DataFrame({"dataset": numpy.zeros(rows, dtype=numpy.int8), "loss": losses})
    of_groups = frame.group_by("dataset").agg(sum=polars.col("loss").sum(), mean=polars.col("loss").mean()).row(0, named=True)
    seen[name] = {
        "sum": frame["loss"].sum(),
        "sum in group_by": of_groups["sum"],
        "mean in group_by": of_groups["mean"],
        "sum over": frame.select(polars.col("loss").sum().over("dataset"))["loss"][0],
        "cum_sum": frame["loss"].cum_sum()[-1],
    }
    print(f"{name}, {rows} losses of 0.1:", ", ".join(f"{what} {value:.8g}" for what, value in seen[name].items()))
for name, right in (("float16", 10_000), ("float32", 2_000_000)):
    assert all(abs(seen[name][what] / right - 1) < 0.002 for what in ("sum", "sum over", "cum_sum"))
    assert abs(seen[name]["mean in group_by"] - 0.1) < 0.0001
assert seen["float16"]["sum in group_by"] == 256 and seen["float32"]["sum in group_by"] == 2_097_152
PY
POLARS_MAX_THREADS=1 "$folder/venv/bin/python" "$folder/run.py"
