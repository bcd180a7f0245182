#!/usr/bin/env bash
# In pandas the standard deviation of more than 65,519 float16 losses is 0, and with pandas 2.3.3 their mean is 0 or NaN too.
#
# Versions: pandas 3.1.1, pandas 2.3.3, numpy 2.4.6; Python 3.11
# Behaviour: nanops casts the number of losses to the column's type, where 65,520 is infinity, and divides by it; std, var, sem and
#   describe() have it. All that is said is a RuntimeWarning of NumPy, "overflow encountered in cast". Of 65,000 losses all is right, and so
#   is groupby(...).std() of the same column. pandas 3 has mended mean(), which also summed in float16 before. NumPy's own std
#   of the same array is right.
# Seen: "pandas 3.1.1: 65000 losses: mean 0.500, std 0.288, ...", "pandas 3.1.1: 70000 losses: mean 0.499, std 0.000, in
#   describe() 0.000, in groupby 0.288, of NumPy 0.288", "pandas 2.3.3: 70000 losses: mean 0.000, std 0.000, ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/run.py" <<'PY'
import sys
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore", RuntimeWarning)
random = np.random.default_rng(0)
for count in (65_000, 70_000):
    losses = random.random(count).astype("f2")
    series = pd.Series(losses)
    mean, std, described = float(series.mean()), float(series.std()), float(series.describe()["std"])
    grouped = float(pd.DataFrame({"group": 0, "loss": losses}).groupby("group").loss.std().item())
    expected = float(losses.astype("f8").std())
    print(f"pandas {pd.__version__}: {count} losses: mean {mean:.3f}, std {std:.3f}, in describe() {described:.3f}, "
          f"in groupby {grouped:.3f}, of NumPy {float(losses.std()):.3f}")
    assert abs(grouped - expected) < 0.01
    if count == 65_000 and sys.argv[1] == "3.1.1":
        assert abs(std - expected) < 0.01
        assert abs(mean - 0.5) < 0.01
    if count == 70_000:
        assert std == described == float(series.var()) == float(series.sem()) == 0
        assert (abs(mean - 0.5) < 0.01) == (sys.argv[1] == "3.1.1")
PY
for version in 3.1.1 2.3.3; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "pandas==$version" numpy==2.4.6
    "$folder/$version/bin/python" "$folder/run.py" "$version"
done
