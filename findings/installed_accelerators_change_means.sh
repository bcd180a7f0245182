#!/usr/bin/env bash
# Once numbagg and flox are installed xarray's means of groups of float32 losses are 2% off, with bottleneck pandas' std is 4 times its size.
#
# Versions: xarray 2026.9.0, flox 0.11.2, numbagg 0.9.6, pandas 3.1.1, bottleneck 1.6.0; Python 3.11
# Behaviour: xarray and pandas hand their work to these packages where they can be imported, by default, and their guides advise them
#   for speed. They add float32 up in float32, one loss after the other. Of 5,000,000 losses of 0.1 with a deviation of 0.001
#   groupby(...).mean() is 0.0979, further off than any group could be, and Series.std() 0.0043; groupby(...).std() and Series.mean()
#   are right. Without the packages all four are. Nothing in a result says who has computed it.
# Seen: "xarray's mean of a group: 0.097856 with them, 0.099999 without (true 0.099999)", "pandas' std: 0.004281 with them, 0.000999
#   without (true 0.000999)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 xarray==2026.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import json

import numpy as np
import pandas as pd
import xarray as xr

losses = np.random.default_rng(0).normal(0.1, 0.001, 5_000_000).astype("f4")
half = np.arange(len(losses)) % 2
groups = xr.DataArray(losses, dims="sample", coords={"half": ("sample", half)}).groupby("half")
first, exact = losses[half == 0].astype("f8"), losses.astype("f8")
print(json.dumps({"xarray's mean of a group": [float(groups.mean()[0]), first.mean()],
                  "xarray's std of a group": [float(groups.std()[0]), first.std()],
                  "pandas' mean": [float(pd.Series(losses).mean()), exact.mean()],
                  "pandas' std": [float(pd.Series(losses).std()), exact.std()]}))
PY
"$folder/venv/bin/python" "$folder/run.py" > "$folder/without.json"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bottleneck==1.6.0 flox==0.11.2 numbagg==0.9.6 numpy==2.4.6
"$folder/venv/bin/python" "$folder/run.py" > "$folder/with.json"
cat > "$folder/compare.py" <<'PY'
import json, math, sys

without, installed = (json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("without", "with"))
for name, (found, true) in without.items():
    print(f"{name}: {installed[name][0]:.6f} with them, {found:.6f} without (true {true:.6f})")
    assert math.isclose(found, true, rel_tol=0.001)
for right in ("xarray's std of a group", "pandas' mean"):
    assert math.isclose(*installed[right], rel_tol=0.001)
assert installed["xarray's mean of a group"][0] < 0.98 * without["xarray's mean of a group"][0]
assert installed["pandas' std"][0] > 3 * without["pandas' std"][0]
PY
"$folder/venv/bin/python" "$folder/compare.py" "$folder"
