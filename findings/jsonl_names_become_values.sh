#!/usr/bin/env bash
# File names in capital hex digits come out of DuckDB's read_json in small ones, and captions that are dates as timestamps.
#
# Versions: duckdb 2.0.1, datasets 5.2.0, polars 2.1.0; Python 3.11
# Behaviour: JSON says of both that they are strings. DuckDB takes a column whose strings all look like UUIDs for UUIDs,
#   which have no case: the stems of photos off a phone (3F25...) come back as 3f25..., and a join with the files' names
#   finds none of them. "2024-05-01" becomes a date, "12:30" a time. load_dataset("json") keeps the first and makes a
#   timestamp of the second: a tokenizer is handed a datetime. polars keeps all of them.
# Seen: "duckdb: UUID 3f2504e0-..., joined with the names on disk 0 of 3, caption DATE 2024-05-01",
#   "datasets: string 3F2504E0-..., caption timestamp[s] 2024-05-01 00:00:00", "polars: String 3F2504E0-..., caption String"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 datasets==5.2.0 polars==2.1.0
cat > "$folder/read.py" <<'PY'
import json, os, pathlib, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets, duckdb, polars

datasets.disable_progress_bars()
root = pathlib.Path(sys.argv[1])
names = [f"3F2504E0-4F89-11D3-9A0C-0305E82C33{i:02}" for i in range(3)]
for name in names:
    (root / f"{name}.png").touch()
path = str(root / "captions.jsonl")
pathlib.Path(path).write_text("".join(json.dumps({"image": n, "caption": "2024-05-01", "time": "12:30"}) + "\n" for n in names))

rows = duckdb.sql(f"SELECT *, typeof(image), typeof(caption), typeof(time) FROM '{path}'").fetchall()
joined = duckdb.sql(
    f"SELECT count(*) FROM '{path}' AS c JOIN glob('{root}/*.png') AS g ON g.file = '{root}/' || c.image || '.png'"
).fetchall()[0][0]
print(f"duckdb: {rows[0][3]} {rows[0][0]}, joined with the names on disk {joined} of 3, caption {rows[0][4]} {rows[0][1]}")
assert str(rows[0][0]) == names[0].lower() and rows[0][3:] == ("UUID", "DATE", "TIME") and joined == 0

loaded = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(root / "cache"))
kinds = {name: feature.dtype for name, feature in loaded.features.items()}
print(f"datasets: {kinds['image']} {loaded[0]['image']}, caption {kinds['caption']} {loaded[0]['caption']}")
assert kinds == {"image": "string", "caption": "timestamp[s]", "time": "string"} and loaded[0]["image"] == names[0]

frame = polars.read_ndjson(path)
print(f"polars: {frame.schema['image']} {frame['image'][0]}, caption {frame.schema['caption']} {frame['caption'][0]}")
assert set(frame.schema.values()) == {polars.String} and frame["image"].to_list() == names
PY
"$folder/venv/bin/python" "$folder/read.py" "$folder"
