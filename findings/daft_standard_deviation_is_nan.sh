#!/usr/bin/env bash
# In Daft the standard deviation of a million equal losses is NaN, and float32 means of groups are 5% off.
#
# Versions: daft 0.7.26, polars 2.1.0; Python 3.11
# Behaviour: Daft's stddev is the root of the mean of the squares less the square of the mean. Of 1,000,000 losses of 0.1 it is
#   NaN instead of 0, of 20,000 losses between 100,000,000 and 100,000,001 NaN instead of 0.288, and between 1,000 and 1,000.001
#   off by 0.6%. float32 is added up in float32: the mean of 20,000,000 losses of 0.1 is 0.1049 in a groupby, that of 1,000,000
#   0.1010. Its docs say "the standard deviation of the values" and name no limit. Polars and NumPy have all of them right.
# Seen: "1,000,000 of 0.1 {"Daft's stddev": nan, "polars'": 0.0, ... 'in groups': 0.100958}", "20,000 around 1e8 {"Daft's
#   stddev": nan, "polars'": 0.287692, ...}", "20,000,000 of 0.1 {... 'in groups': 0.104858}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check daft==0.7.26 polars==2.1.0 pyarrow==25.0.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import daft, numpy as np, polars as pl, pyarrow as pa

random = np.random.default_rng(0)
LOSSES = {
    "1,000,000 of 0.1": np.full(1_000_000, 0.1, "f4"),
    "20,000 around 1e8": 1e8 + random.random(20_000),
    "20,000 around 1,000, within 0.001": 1000 + 0.001 * random.random(20_000),
    "20,000,000 of 0.1": np.full(20_000_000, 0.1, "f4"),
}
stddev, groups = {}, {}
for name, losses in LOSSES.items():
    rows = pa.table({"loss": losses, "bucket": np.zeros(len(losses), "i4")})
    frame, loss = daft.from_arrow(rows), daft.col("loss")
    seen = {
        "Daft's stddev": frame.agg(loss.stddev()).to_pydict()["loss"][0],
        "polars'": pl.from_arrow(rows)["loss"].std(),
        "NumPy's": losses.astype("f8").std(ddof=1),
        "Daft's mean": frame.agg(loss.mean()).to_pydict()["loss"][0],
        "in groups": frame.groupby("bucket").agg(loss.mean()).to_pydict()["loss"][0],
    }
    print(name, {key: float(f"{value:.6g}") for key, value in seen.items()})
    assert abs(seen["polars'"] - seen["NumPy's"]) <= 1e-8
    stddev[name], groups[name] = seen["Daft's stddev"], seen["in groups"]
assert all(np.isnan(value) for name, value in stddev.items() if "0.1" in name or "1e8" in name)
assert abs(stddev["20,000 around 1,000, within 0.001"] - 0.000288) > 1e-6
assert groups["20,000,000 of 0.1"] > 0.104 and groups["1,000,000 of 0.1"] > 0.1005
PY
"$folder/venv/bin/python" "$folder/run.py"
