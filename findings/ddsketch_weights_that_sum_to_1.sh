#!/usr/bin/env bash
# In DDSketch the median of positive losses whose weights sum to 1 is -0.99; with a sum of 2 the 99th percentile is the median.
#
# Versions: ddsketch 3.0.1; Python 3.11
# Behaviour: add(value, weight) takes any weight above 0, and count is the sum of the weights. get_quantile_value(q) looks at the
#   rank q * (count - 1), as if each weight were 1. With a sum of 1 that is 0 for each q, the smallest loss; 10,000 weights of 1 / 10,000
#   add up to a little less, the rank is negative, and a negative loss comes out that nobody added. Losses weighted by 1 / n or
#   by shares have such sums. With the same weights times 10,000 the promised 1% holds. A NaN is counted as a loss of 0.
# Seen: "sum of weights 1: median -0.9900, 99th percentile -0.9900", "sum of weights 2: median 0.0692, 99th percentile 0.1313",
#   "sum of weights 10: median 0.1188, 99th percentile 0.4630", "sum of weights 10000: ... 1.3634", "true: 0.1341, 1.3654"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ddsketch==3.0.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math

import numpy as np
from ddsketch import DDSketch

losses = np.random.default_rng(0).lognormal(-2, 1, 10_000)
true = np.quantile(losses, (0.5, 0.99))
found = {}
for total in (1, 2, 10, 10_000):
    sketch = DDSketch(relative_accuracy=0.01)
    for loss in losses:
        sketch.add(loss, weight=total / len(losses))
    assert math.isclose(sketch.count, total)
    found[total] = [sketch.get_quantile_value(q) for q in (0.5, 0.99)]
    print(f"sum of weights {total}: median {found[total][0]:.4f}, 99th percentile {found[total][1]:.4f}")
print(f"true: {true[0]:.4f}, {true[1]:.4f}; the smallest loss is {losses.min():.4f}")
assert np.allclose(found[1], -0.99)
assert math.isclose(found[2][1], true[0], rel_tol=0.03)
assert found[10][1] < 0.8 * true[1]
assert np.allclose(found[10_000], true, rtol=0.02)
sketch = DDSketch(relative_accuracy=0.01)
for loss in (1.0, math.nan, math.nan):
    sketch.add(loss)
print(f"median of 1.0, NaN and NaN: {sketch.get_quantile_value(0.5)}")
assert sketch.get_quantile_value(0.5) == 0
PY
"$folder/venv/bin/python" "$folder/run.py"
