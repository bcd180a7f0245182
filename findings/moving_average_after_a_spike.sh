#!/usr/bin/env bash
# One NaN or infinite loss makes all later moving averages NaN in DataFusion; after a loss of 1e17 they are wrong.
#
# Versions: datafusion 55.0.0, duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1; Python 3.11
# Behaviour: a mean of three steps. DataFusion subtracts what leaves the window from a running sum: NaN minus NaN, infinity
#   minus infinity and 1e17 minus 1e17 do not give the small numbers back. sum, stddev and var do the same; max, min and
#   median are right. DuckDB and polars have the right numbers as soon as the spike has left the window.
# Seen: mean and spread of the last three of 0.1, 0.2, spike, 0.4 ... 0.8: "datafusion, after NaN: [[nan, nan, nan], [nan,
#   nan, nan]]", "datafusion, after 1e17: [[0.0, 0.1, 0.2], [0.0, 0.39, 0.55]]", "duckdb, after NaN: [[0.5, 0.6, 0.7], [0.1,
#   0.1, 0.1]]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    datafusion==55.0.0 duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1
cat > "$folder/run.py" <<'PY'
import datafusion, duckdb, polars, pyarrow

WINDOW = "OVER (ORDER BY step ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)"
seen = {}
for name, odd in {"NaN": float("nan"), "infinity": float("inf"), "1e17": 1e17}.items():
    losses = pyarrow.table({"step": list(range(8)), "loss": [0.1, 0.2, odd, 0.4, 0.5, 0.6, 0.7, 0.8]})
    context = datafusion.SessionContext()
    context.from_arrow(losses, name="losses")
    query = f"SELECT step, avg(loss) {WINDOW} AS mean, stddev(loss) {WINDOW} AS spread FROM losses ORDER BY step"
    for engine, rows in {
        "datafusion": pyarrow.Table.from_batches(context.sql(query).collect()).to_pylist(),
        "duckdb": duckdb.sql(query).to_arrow_table().to_pylist(),
        "polars": polars.from_arrow(losses).select(
            mean=polars.col("loss").rolling_mean(3), spread=polars.col("loss").rolling_std(3)).to_dicts(),
    }.items():
        seen[engine, name] = str([[round(row[key], 2) for row in rows[5:]] for key in ("mean", "spread")])
        print(f"{engine}, after {name}: {seen[engine, name]}")
RIGHT, LOST = "[[0.5, 0.6, 0.7], [0.1, 0.1, 0.1]]", "[[nan, nan, nan], [nan, nan, nan]]"
assert all(value == RIGHT for (engine, _), value in seen.items() if engine != "datafusion")
assert seen["datafusion", "NaN"] == seen["datafusion", "infinity"] == LOST
assert seen["datafusion", "1e17"].startswith("[[0.0, 0.1, 0.2]")
PY
"$folder/venv/bin/python" "$folder/run.py"
