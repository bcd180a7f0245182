#!/usr/bin/env bash
# DuckDB's sem() of two losses is 29% too small, of five 11%: it is stddev_pop / sqrt(n), though its stddev() is that of a sample.
#
# Versions: duckdb 2.0.1, pandas 3.1.1, scipy 1.17.1; Python 3.11
# Behaviour: the standard error of a mean estimates its spread from the sample, with n - 1, as pandas' sem and scipy's do, and as
#   stddev(x) / sqrt(count(x)) in DuckDB. Its function "returns the standard error of the mean" with n, and 0 for one loss, where
#   nothing is known of it: items that were seen once or twice look the surest, and their intervals are the shortest. Of 20,000
#   items with two losses each, 95% of Student's intervals by sem hold the true mean in 93%.
# Seen: "2 losses: sem 0.707 times stddev / sqrt(n), Student's 95% intervals hold 93.0% of the true means (with stddev 95.2%)", "5 losses:
#   sem 0.894 times ..., 93.2% ... (with stddev 95.1%)", "1 loss: sem 0.0, stddev None"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pandas==3.1.1 scipy==1.17.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import duckdb
import numpy as np
import pandas as pd
from scipy import stats

said = duckdb.sql("SELECT DISTINCT description FROM duckdb_functions() WHERE function_name = 'sem'").fetchall()
print("sem:", said)
for losses in (2, 5, 100):
    frame = pd.DataFrame({"item": np.repeat(np.arange(20_000), losses)})
    frame["loss"] = np.random.default_rng(losses).normal(0.1, 0.02, len(frame))
    query = "SELECT avg(loss) AS mean, sem(loss) AS sem, stddev(loss) / sqrt(count(*)) AS right FROM frame GROUP BY item ORDER BY item"
    found = duckdb.sql(query).df()
    grouped = frame.groupby("item")["loss"].sem().to_numpy()
    assert np.allclose(found["right"], grouped) and np.allclose(grouped[0], stats.sem(frame["loss"][:losses]))
    ratio = (found["sem"] / found["right"]).mean()
    wide = stats.t.ppf(0.975, losses - 1)
    held, right = (((found["mean"] - 0.1).abs() < wide * found[name]).mean() for name in ("sem", "right"))
    print(f"{losses} losses: sem {ratio:.3f} times stddev / sqrt(n), Student's 95% intervals hold {held:.1%} of the true means "
          f"(with stddev {right:.1%})")
    assert np.isclose(ratio, np.sqrt((losses - 1) / losses)) and abs(right - 0.95) < 0.005
one = duckdb.sql("SELECT sem(x), stddev(x) FROM (SELECT 0.1::DOUBLE AS x)").fetchall()[0]
print(f"1 loss: sem {one[0]}, stddev {one[1]}")
assert one == (0.0, None)
PY
"$folder/venv/bin/python" "$folder/run.py"
