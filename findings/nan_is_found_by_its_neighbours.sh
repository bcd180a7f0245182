#!/usr/bin/env bash
# "WHERE loss > 100" finds a NaN in memory, and in a Parquet file only where another loss of its row group is above 100.
#
# Versions: duckdb 2.0.1, datafusion 55.0.0, polars 2.1.0, pyarrow 26.0.1; Python 3.11
# Behaviour: DuckDB and DataFusion hold NaN above all numbers, so that NaN > 100. The statistics of a Parquet file leave NaN
#   out, and a row group whose maximum is 0.5 is not read at all: which NaN are found depends on their neighbours, and on
#   how a file was cut into row groups. polars looks into the file in both cases. One expects a filter to give the same
#   rows from memory and file.
# Seen: "datafusion, NaN beside small losses: 1 in memory, 0 in the file", "duckdb, NaN beside small losses: 1 in memory, 0 in
#   the file", "datafusion, NaN beside one of 200: 2 in memory, 2 in the file", "polars ...: 1 in memory, 1 in the file"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    duckdb==2.0.1 datafusion==55.0.0 polars==2.1.0 pyarrow==26.0.1
cat > "$folder/run.py" <<'PY'
import sys

import datafusion, duckdb, polars, pyarrow
import pyarrow.parquet


def with_datafusion(table, path):
    context = datafusion.SessionContext()
    context.from_arrow(table, name="memory")
    context.register_parquet("file", path)
    return [len(context.sql(f"SELECT * FROM {name} WHERE loss > 100").to_pylist()) for name in ("memory", "file")]


def with_duckdb(table, path):
    return [len(rows.filter("loss > 100").fetchall()) for rows in (duckdb.from_arrow(table), duckdb.read_parquet(path))]


def with_polars(table, path):
    above = polars.col("loss") > 100
    return [polars.from_arrow(table).filter(above).height, polars.scan_parquet(path).filter(above).collect().height]


seen = {}
for name, neighbour in (("small losses", 0.5), ("one of 200", 200.0)):
    table = pyarrow.table({"loss": [0.1, float("nan"), neighbour]})
    path = sys.argv[1] + f"/{name}.parquet"
    pyarrow.parquet.write_table(table, path)
    for engine, find in (("datafusion", with_datafusion), ("duckdb", with_duckdb), ("polars", with_polars)):
        seen[engine, name] = find(table, path)
        print(f"{engine}, NaN beside {name}: {seen[engine, name][0]} in memory, {seen[engine, name][1]} in the file")
assert all(value == [count, count] for (engine, name), value in seen.items() for count in [1 + (name == "one of 200")]
           if engine == "polars" or name == "one of 200")
assert seen["datafusion", "small losses"] == seen["duckdb", "small losses"] == [1, 0]
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
