#!/usr/bin/env bash
# FireDucks' merge leaves out rows whose key is missing, where pandas joins them: of four samples without a caption none is left.
#
# Versions: fireducks 1.4.4, pandas 2.3.3; Python 3.11
# Behaviour: "import fireducks.pandas as pd" is said to be all that has to change, and its page on compatibility names the order of
#   a merge's rows as what may differ. pandas joins a missing key (None, NaN) with a missing key, and says so in the docs of merge.
#   FireDucks joins as SQL does: an inner merge has fewer rows, and left ones have NaN instead of what belongs to "no
#   caption". groupby(dropna=False) is pandas' in both. prod() of a group without any number is 1 in pandas, NaN here.
# Seen: "pandas: inner 6 rows; left: weights of all samples [1.0, 0.5, 2.0, 0.5, 0.5, 0.5]; product of a group of NaN 1.0; groups 3",
#   "FireDucks: inner 2 rows; left: weights of all samples [1.0, nan, 2.0, nan, nan, nan]; product of a group of NaN nan; groups 3"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fireducks==1.4.4 pandas==2.3.3 numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import fireducks.pandas
import pandas

SAMPLES = {"caption": ["a cat", None, "a dog", None, None, None], "loss": [1.0, 2, 3, 4, 5, 6]}
WEIGHTS = {"caption": ["a cat", "a dog", None], "weight": [1.0, 2.0, 0.5]}
found = {}
for name, library in (("pandas", pandas), ("FireDucks", fireducks.pandas)):
    samples, weights = library.DataFrame(SAMPLES), library.DataFrame(WEIGHTS)
    inner = len(samples.merge(weights, on="caption"))
    left = samples.merge(weights, on="caption", how="left").sort_values("loss")
    product = float(library.DataFrame({"group": [0, 0], "loss": [float("nan")] * 2}).groupby("group").loss.prod().tolist()[0])
    groups = len(samples.groupby("caption", dropna=False).loss.mean())
    found[name] = inner, left["weight"].tolist(), product, groups
    print(f"{name}: inner {inner} rows; left: weights of all samples {left['weight'].tolist()}; "
          f"product of a group of NaN {product}; groups {groups}")
assert found["pandas"] == (6, [1, 0.5, 2, 0.5, 0.5, 0.5], 1, 3)
inner, weights, product, groups = found["FireDucks"]
assert inner == 2
assert str(weights) == "[1.0, nan, 2.0, nan, nan, nan]"
assert product != product
assert groups == 3
PY
"$folder/venv/bin/python" "$folder/run.py"
