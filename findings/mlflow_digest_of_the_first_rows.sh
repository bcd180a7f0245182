#!/usr/bin/env bash
# MLflow's digest of a data set is that of its first 10,000 rows: edits after them leave it as it was.
#
# Versions: mlflow-skinny 3.17.2, pandas 3.1.1; Python 3.11
# Behaviour: mlflow.data.from_pandas computes a digest, by which runs on the same data are found. Captions changed in row
#   15,000 and later give the same digest; so do true and false exchanged, other dates, and other lists, in any row: only
#   columns of numbers and of text are read. The page calls the digest that of the data set.
# Seen: "row 15,000 same", "row 9,000 other", "booleans same", "dates same", "lists same"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 pandas==3.1.1
cat > "$folder/run.py" <<'PY'
import pandas
import mlflow.data


def same(first, second):
    return "same" if mlflow.data.from_pandas(first).digest == mlflow.data.from_pandas(second).digest else "other"


table = pandas.DataFrame({"id": range(20_000), "caption": "a cat"})
seen = {}
for row in (15_000, 9_000):
    changed = table.copy()
    changed.loc[row:, "caption"] = "a dog"
    seen[f"row {row:,}"] = same(table, changed)
few = table.head(5)
seen["booleans"] = same(few.assign(x=True), few.assign(x=False))
seen["dates"] = same(few.assign(x=pandas.Timestamp("2024-01-01")), few.assign(x=pandas.Timestamp("2025-01-01")))
seen["lists"] = same(few.assign(x=[["cat"]] * 5), few.assign(x=[["dog"]] * 5))
for what, result in seen.items():
    print(what, result)
assert list(seen.values()) == ["same", "other", "same", "same", "same"]
PY
"$folder/venv/bin/python" "$folder/run.py"
