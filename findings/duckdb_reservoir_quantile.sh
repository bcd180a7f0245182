#!/usr/bin/env bash
# DuckDB 2.0.0's reservoir_quantile knows only the first 8,192 rows of what it reads.
#
# Versions: duckdb 2.0.0 (the first rows), duckdb 2.0.1 (a sample of all); Python 3.11
# Behaviour: the page on aggregates says that it uses reservoir sampling with 8,192 values by default. A reservoir sample
#   has each row with the same chance, so the median of a sorted column should come out near the middle. With 2.0.0 it is
#   4,096, for a hundred thousand rows and for a million: no later row ever replaces an earlier one. Losses that are read
#   in the order of steps fall: their "median" is that of the first steps. Rows in random order hide it.
# Seen: "2.0.0: median of 1 to 100000: 4096, of 1 to 1000000: 4096", "2.0.1: ... 53457, ... 516214"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/quantile.py" <<'PY'
import duckdb

seen = [duckdb.execute(f"SELECT reservoir_quantile(x, 0.5) FROM range(1, {n} + 1) t(x)").fetchall()[0][0] for n in (100_000, 1_000_000)]
print(f"{duckdb.__version__}: median of 1 to 100000: {seen[0]}, of 1 to 1000000: {seen[1]}")
if duckdb.__version__ == "2.0.0":
    assert seen == [4096, 4096]
else:
    assert 45_000 < seen[0] < 55_000 and 450_000 < seen[1] < 550_000
PY
for version in 2.0.0 2.0.1; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    "$folder/$version/bin/python" "$folder/quantile.py"
done
