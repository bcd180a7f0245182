#!/usr/bin/env bash
# In tdigest and pytdigest the 90th percentile of 990 losses of 1 and ten of 5 is 4.24, and half of all losses are above 1.
#
# Versions: tdigest 0.5.2.2, pytdigest 0.1.4, datasketches 5.2.0; Python 3.11
# Behaviour: both draw a line from the middle of one centroid to that of the next, and equal losses become one centroid: half of
#   the 990 are spread between 1 and 5. Losses that repeat are those of clipped, rounded, masked or cached samples. A t-digest of
#   the paper keeps tails in small centroids, and says 1 up to 99%; numpy, and t-digests of datasketches, say so. cdf(1) is 0.495,
#   where it should be 0.99. Nothing says that losses must differ.
# Seen: "tdigest: 60%: 1.84, 75%: 3.04, 90%: 4.24, 98%: 4.88", "pytdigest: 60%: 1.84, ...", "datasketches: 60%: 1.00, 75%: 1.00,
#   90%: 1.00, 98%: 1.00", "share of losses up to 1: tdigest 0.495, pytdigest 0.495, true 0.990"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tdigest==0.5.2.2 pytdigest==0.1.4 datasketches==5.2.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
from datasketches import tdigest_double
from pytdigest import TDigest as PyTDigest
from tdigest import TDigest

PERCENTS = (60, 75, 90, 98)
losses = np.random.default_rng(0).permutation([1.0] * 990 + [5.0] * 10)
first, second, third = TDigest(), PyTDigest.compute(losses), tdigest_double()
for loss in losses:
    first.update(float(loss))
    third.update(float(loss))
found = {"tdigest": [first.percentile(percent) for percent in PERCENTS],
         "pytdigest": second.inverse_cdf(np.array(PERCENTS) / 100).tolist(),
         "datasketches": [third.get_quantile(percent / 100) for percent in PERCENTS],
         "numpy": np.percentile(losses, PERCENTS).tolist()}
for name, values in found.items():
    print(f"{name}: {', '.join(f'{percent}%: {value:.2f}' for percent, value in zip(PERCENTS, values, strict=True))}")
shares = float(first.cdf(1.0)), float(second.cdf(np.array([1.0]))[0]), float((losses <= 1).mean())
print("share of losses up to 1: tdigest {:.3f}, pytdigest {:.3f}, true {:.3f}".format(*shares))
assert found["numpy"] == found["datasketches"] == [1, 1, 1, 1]
for name in ("tdigest", "pytdigest"):
    assert found[name][1] > 2.5 and found[name][2] > 4 and found[name][3] > 4.5, found[name]
assert max(shares[:2]) < 0.5 and shares[2] == 0.99
PY
"$folder/venv/bin/python" "$folder/run.py"
