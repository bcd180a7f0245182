#!/usr/bin/env bash
# cleanlab's "confidence_weighted_entropy" gives a right label the model is certain of 0, as the worst of all, and a wrong one 1.0.
#
# Versions: cleanlab 2.9.0, numpy 2.4.6; Python 3.11
# Behaviour: the score is log(r + 1) / r of r = entropy / self-confidence, which is 1 for a small r; but r is not let below 1e-8 in the
#   denominator alone, so that it falls to 0. A softmax in float32 is there from a distance of 23 between logits on. A wrong label at
#   a probability of 1 - 1e-12 gets 1.0. The docs: "values between 0-1 with lower values indicating more likely mislabeled data". Of
#   self_confidence the right label has 1, and the wrong one 0.
# Seen: "certain by 0.9: right 0.865, wrong 0.465", "by 0.999999: right 1.000, wrong 0.198", "by 1 - 1e-12: right 0.000, wrong 1.000",
#   "by 1.0: right 0.000, wrong 0.000", "100 right labels at logits of 1 to 170 in float32: 87 have a score below 0.01, all of them
#   from 23 on; the least certain one has 0.666"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cleanlab==2.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
from cleanlab.rank import get_label_quality_scores

METHOD = "confidence_weighted_entropy"
other = [0.2, 0.8, 0]
found = {}
for text, certain in (("0.9", 0.9), ("0.999999", 0.999999), ("1 - 1e-12", 1 - 1e-12), ("1.0", 1.0)):
    probabilities = np.array([[certain, 1 - certain, 0], other, [1 - certain, certain, 0]])
    right, _, wrong = get_label_quality_scores(np.array([0, 1, 0]), probabilities, method=METHOD)
    plain_right, _, plain_wrong = get_label_quality_scores(np.array([0, 1, 0]), probabilities, method="self_confidence")
    found[text] = right, wrong
    print(f"certain by {text}: right {right:.3f}, wrong {wrong:.3f}; self_confidence: right {plain_right:.3f}, wrong {plain_wrong:.3f}")
    assert plain_right > 0.89
    assert plain_wrong < 0.11
assert found["0.9"][0] > 0.8
assert found["0.999999"][0] > 0.99
assert found["1 - 1e-12"][0] < 0.01
assert found["1 - 1e-12"][1] > 0.99
assert found["1.0"][0] == 0
logits = np.stack([np.linspace(1, 170, 100), np.zeros(100)], 1).astype("f4")
softmax = np.exp(logits - logits.max(1, keepdims=True))
softmax /= softmax.sum(1, keepdims=True)
scores = get_label_quality_scores(np.zeros(100, int), softmax, method=METHOD)
certain = int((scores < 0.01).sum())
print(f"100 right labels at logits of 1 to 170 in float32: {certain} have a score below 0.01, all of them from "
      f"{logits[scores < 0.01, 0].min():.0f} on; the least certain one has {scores[0]:.3f}")
assert certain > 20
assert scores[0] > 0.5
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
