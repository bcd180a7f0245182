#!/usr/bin/env bash
# With with_format("numpy") an id of 16,777,217 becomes 16,777,216 in each batch where another row has no id.
#
# Versions: datasets 5.2.0, pandas 3.1.1; Python 3.11
# Behaviour: a batch of whole numbers is int64. With a missing one it is float32, whose whole numbers end at 2 to the 24, and
#   the same row has another id in another batch; with_format("torch") does the same. pandas' format makes float64 of it,
#   exact to 2 to the 53. The column's type is int64 all the time, and nothing warns.
# Seen: "numpy, batch of three: [16777217, 16777219, 20000001] int64", "numpy, batch of four, one has no id: [16777216,
#   16777220, 20000000] float32", "pandas, batch of four, one has no id: [16777217, 16777219, 20000001] float64"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pandas==3.1.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import datasets

rows = datasets.Dataset.from_dict({"id": [16777217, 16777219, 20000001, None]})
seen = {}
for name in ("numpy", "pandas"):
    formatted = rows.with_format(name)
    for batch, chosen in (("of three", slice(0, 3)), ("of four, one has no id", slice(0, 4))):
        ids = formatted[chosen]["id"]
        seen[name, batch] = [int(value) for value in ids[:3]]
        print(f"{name}, batch {batch}: {seen[name, batch]} {str(ids.dtype)}")
assert seen["numpy", "of three"] == seen["pandas", "of four, one has no id"] == [16777217, 16777219, 20000001]
assert seen["numpy", "of four, one has no id"] == [16777216, 16777220, 20000000]
PY
HF_HOME="$folder" "$folder/venv/bin/python" "$folder/run.py"
