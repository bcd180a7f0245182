#!/usr/bin/env bash
# chDB's skewSamp and kurtSamp, said to be unbiased, are further off than skewPop and kurtPop: of ten losses half the skewness is gone.
#
# Versions: chdb 4.4.0, chdb-core 26.9.0, polars 2.1.0; Python 3.11
# Behaviour: the docs call them "an unbiased estimate" for a sample. The moments of a sample are too small, and an estimate makes them
#   larger, as in pandas, scipy's bias=False and polars' bias=False. These divide by the sample's variance instead of the
#   population's and make them smaller: by (1 - 1/n) to the power 1.5 and 2. Over 2,000 groups of exponential losses (skewness 2,
#   kurtosis 9) the two that should correct are the worst.
# Seen: "groups of 5: skewness skewSamp 0.38, skewPop 0.53, polars 0.78 (true 2)", "groups of 10: skewness skewSamp 0.85, skewPop 1.00,
#   polars 1.18 (true 2), kurtosis kurtSamp 2.62, kurtPop 3.23, polars 4.38 (true 9)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chdb==4.4.0 chdb-core==26.9.0 polars==2.1.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math
import sys

import chdb
import numpy as np
import polars as pl

for size in (5, 10, 30):
    losses = np.random.default_rng(size).exponential(1, 2000 * size)
    frame = pl.DataFrame({"item": np.repeat(np.arange(2000), size), "loss": losses})
    path = f"{sys.argv[1]}/losses.csv"
    frame.write_csv(path)
    what = "avg(a), avg(b), avg(c), avg(d) FROM (SELECT skewSamp(loss) a, skewPop(loss) b, kurtSamp(loss) c, kurtPop(loss) d"
    query = f"SELECT {what} FROM file('{path}', 'CSVWithNames', 'item UInt32, loss Float64') GROUP BY item)"
    sample, population, kurt_sample, kurt_population = map(float, str(chdb.query(query, "TSV")).split())
    group = frame.group_by("item").agg(skew=pl.col("loss").skew(bias=False), kurt=pl.col("loss").kurtosis(fisher=False, bias=False))
    skew, kurt = group["skew"].mean(), group["kurt"].mean()
    print(f"groups of {size}: skewness skewSamp {sample:.2f}, skewPop {population:.2f}, polars {skew:.2f} (true 2), "
          f"kurtosis kurtSamp {kurt_sample:.2f}, kurtPop {kurt_population:.2f}, polars {kurt:.2f} (true 9)")
    assert sample < population < skew < 2 and kurt_sample < kurt_population < kurt < 9
    assert math.isclose(sample, population * (1 - 1 / size) ** 1.5, rel_tol=1e-6)
    assert math.isclose(kurt_sample, kurt_population * (1 - 1 / size) ** 2, rel_tol=1e-6)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
