#!/usr/bin/env bash
# river's variance of three losses with weights of 0.5 is twice that with weights of 1, and 0 where all weights sum to 1 or less.
#
# Versions: river 0.26.1, numpy 2.4.6; Python 3.11
# Behaviour: Var divides by the sum of the weights minus 1, as if a weight were a number of equal losses, and gives 0 where that is not above 0.
#   Its docs: "the divisor ... is n - ddof, where n represents the number of seen elements". Mean takes any scale. Weights that are probabilities or shares
#   sum to 1: whatever the losses, their variance is 0, and so is what is made of it (SEM, standard scaling).
# Seen: "weights of 1: variance 2.333, mean 2.333", "weights of 0.5: variance 4.667, mean 2.333", "weights of 1/3: variance 0.000,
#   mean 2.333", "1,000 losses, weights of 1/1024: variance 0.000, true 0.955"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check river==0.26.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
from river import stats


def result(statistic, losses, weight):
    """What a statistic of river says of losses of one weight."""
    for loss in losses:
        statistic.update(float(loss), weight)
    return statistic.get()


found = {}
for text, weight in (("1", 1.0), ("0.5", 0.5), ("1/3", 1 / 3)):
    found[text] = result(stats.Var(), [1, 2, 4], weight), result(stats.Mean(), [1, 2, 4], weight)
    print("weights of {}: variance {:.3f}, mean {:.3f}".format(text, *found[text]))
    assert abs(found[text][1] - 7 / 3) < 1e-9
many = np.random.default_rng(0).standard_normal(1000)
shares = result(stats.Var(), many, 1 / 1024)
print(f"1,000 losses, weights of 1/1024: variance {shares:.3f}, true {many.var(ddof=1):.3f}")
assert abs(found["1"][0] - np.var([1, 2, 4], ddof=1)) < 1e-9
assert abs(found["0.5"][0] - 2 * found["1"][0]) < 1e-9
assert found["1/3"][0] < 1e-9
assert shares == 0
PY
"$folder/venv/bin/python" "$folder/run.py"
