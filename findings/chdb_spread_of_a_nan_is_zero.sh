#!/usr/bin/env bash
# In chDB one NaN or infinite loss makes standard deviation and variance 0, and so do float32 losses of 1e20.
#
# Versions: chdb 4.4.0, chdb-core 26.9.0, polars 2.1.0; Python 3.11
# Behaviour: losses 0.5, 2 and a NaN. The mean is NaN, the standard deviation 0, as if all losses were the same: data sets that
#   diverge stand first where one looks for the steady ones. float32 losses are squared in float32, and too large squares end as 0
#   too. stddevPopStable gives NaN, polars too. The manual says of stddevPop that it is not numerically stable, not this.
# Seen: "NaN: mean nan, stddevPop 0, varSamp 0, stddevPopStable nan, polars nan", "infinite: mean inf, stddevPop 0, ...",
#   "float32, 1e20: mean 5e+19, stddevPop 0, varSamp 0, stddevPopStable 5e+19, polars 5e+19"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chdb==4.4.0 chdb-core==26.9.0 polars==2.1.0
cat > "$folder/run.py" <<'PY'
import math

import chdb
import polars as pl

CASES = {"NaN": ("Float64", [0.5, math.nan, 2.0]), "infinite": ("Float64", [0.5, math.inf, 2.0]),
         "float32, NaN": ("Float32", [0.5, math.nan, 2.0]), "float32, 1e20": ("Float32", [1e20, 2.0]),
         "float64, 1e20": ("Float64", [1e20, 2.0]), "fine": ("Float32", [0.5, 2.0])}
NAMES = ("avg", "stddevPop", "varSamp", "stddevPopStable")
for case, (kind, losses) in CASES.items():
    rows = f"(SELECT to{kind}(arrayJoin({losses})) AS loss)"
    answer = chdb.query(f"SELECT {', '.join(f'{name}(loss)' for name in NAMES)} FROM {rows}", "TSV").data()
    mean, spread, variance, stable = map(float, answer.split())
    other = pl.Series(losses, dtype=getattr(pl, kind)).std(ddof=0)
    print(f"{case}: mean {mean:.3g}, stddevPop {spread:.3g}, varSamp {variance:.3g}, stddevPopStable {stable:.3g}, polars {other:.3g}")
    if case in ("fine", "float64, 1e20"):
        assert math.isclose(spread, other, rel_tol=1e-6) and variance > 0
    else:
        assert spread == variance == 0 and stable != 0 and other != 0
        assert not math.isfinite(mean) or case == "float32, 1e20"
PY
"$folder/venv/bin/python" "$folder/run.py"
