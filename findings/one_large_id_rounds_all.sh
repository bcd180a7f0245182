#!/usr/bin/env bash
# One id above 2 to the 63 in a JSONL file makes floats of all ids in pyarrow and datasets: small ones are rounded too.
#
# Versions: pyarrow 26.0.1, datasets 5.2.0, duckdb 2.0.1, polars 2.1.0; Python 3.11
# Behaviour: ids that are hashes of 64 bits (xxhash, a picture's perceptual hash) lie above 2 to the 63 half of the time.
#   pyarrow's reader of JSON has no unsigned integers: the column becomes float64, and the neighbours 2**53 + 1 and 2**53
#   become one id. load_dataset("json") is built on it. DuckDB reads DECIMAL(38, 0), polars Int128: both are exact.
# Seen: "pyarrow double 2 ids", "datasets float64 2 ids", "duckdb decimal128(38, 0) 3 ids", "polars Int128 3 ids"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 datasets==5.2.0 duckdb==2.0.1 polars==2.1.0
cat > "$folder/run.py" <<'PY'
import json, os, pathlib, sys
os.environ["HF_HUB_OFFLINE"] = "1"
os.chdir(sys.argv[1])
import datasets, duckdb, polars, pyarrow.json

datasets.disable_progress_bars()
IDS = [2**53, 2**53 + 1, 2**63 + 5]
pathlib.Path("ids.jsonl").write_text("".join(json.dumps({"id": value}) + "\n" for value in IDS))
arrow = pyarrow.json.read_json("ids.jsonl")
rows = datasets.load_dataset("json", data_files="ids.jsonl", split="train", cache_dir="cache")
duck = duckdb.sql("SELECT * FROM 'ids.jsonl'").to_arrow_table()
frame = polars.read_ndjson("ids.jsonl")
seen = {
    "pyarrow": (arrow.schema.field("id").type, arrow["id"].to_pylist()),
    "datasets": (rows.features["id"].dtype, rows["id"][:]),
    "duckdb": (duck.schema.field("id").type, duck["id"].to_pylist()),
    "polars": (frame.schema["id"], frame["id"].to_list()),
}
for name, (kind, values) in seen.items():
    print(name, kind, len(set(values)), "ids")
assert [len(set(values)) for _, values in seen.values()] == [2, 2, 3, 3]
assert list(map(int, seen["duckdb"][1])) == seen["polars"][1] == IDS
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
