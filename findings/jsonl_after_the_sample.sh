#!/usr/bin/env bash
# A loss of 0.5 that comes after many whole numbers in a JSONL file reads as 0 in DuckDB and DataFusion.
#
# Versions: duckdb 2.0.1, datafusion 55.0.0, polars 2.1.0, pyarrow 26.0.1; Python 3.11
# Behaviour: all four guess a column's type from the first rows (20,480 in DuckDB, 1,000 in DataFusion, 100 in polars, a
#   block of 1 MB in pyarrow). The guess for 1, 1, 1, ... is an integer. Of the value 0.5 in line 60,001 DuckDB and
#   DataFusion make 0, without a warning; polars raises; pyarrow makes a float column, as one would expect of all. A key
#   that first comes in that line is an error in DuckDB; DataFusion and polars leave the column out and say nothing.
# Seen: "duckdb: 0.5 -> 0, new key -> InvalidInputException", "datafusion: 0.5 -> 0, new key -> left out",
#   "polars: 0.5 -> ComputeError, new key -> left out", "pyarrow: 0.5 -> 0.5, new key -> 0.25"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    duckdb==2.0.1 datafusion==55.0.0 polars==2.1.0 pyarrow==26.0.1
cat > "$folder/read.py" <<'PY'
import json, pathlib, sys
import datafusion, duckdb, polars, pyarrow.json

root = pathlib.Path(sys.argv[1])
early = [{"id": i, "loss": 1} for i in range(60_000)]
files = {"0.5": early + [{"id": 60_000, "loss": 0.5}], "new key": early + [{"id": 60_000, "loss": 1, "score": 0.25}]}
for name, rows in files.items():
    (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def with_datafusion(path):
    context = datafusion.SessionContext()
    context.register_json("losses", path, file_extension=".jsonl")
    return context.sql("SELECT * FROM losses WHERE id = 60000").collect()[0].to_pylist()[0]


READERS = {
    "duckdb": lambda path: duckdb.sql(f"SELECT * FROM '{path}' WHERE id = 60000").to_arrow_table().to_pylist()[0],
    "datafusion": with_datafusion,
    "polars": lambda path: polars.read_ndjson(path).row(60_000, named=True),
    "pyarrow": lambda path: pyarrow.json.read_json(path).slice(60_000).to_pylist()[0],
}
seen = {}
for reader, read in READERS.items():
    for name, key in (("0.5", "loss"), ("new key", "score")):
        try:
            seen[reader, name] = read(str(root / f"{name}.jsonl")).get(key, "left out")
        except Exception as error:
            seen[reader, name] = type(error).__name__
    print(f"{reader}: 0.5 -> {seen[reader, '0.5']}, new key -> {seen[reader, 'new key']}")
assert list(seen.values()) == [0, "InvalidInputException", 0, "left out", "ComputeError", "left out", 0.5, 0.25], seen
PY
"$folder/venv/bin/python" "$folder/read.py" "$folder"
