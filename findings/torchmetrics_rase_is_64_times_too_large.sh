#!/usr/bin/env bash
# torchmetrics' relative average spectral error is 64 times what its formula gives: the mean is divided by the window twice.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0; Python 3.11
# Behaviour: RelativeAverageSpectralError is 100 / mean * the root of the channels' mean squared error. The target's mean is taken by a
#   filter that averages already, and then divided by window_size ** 2 once more. ERGAS and the sliding RMSE beside it are right.
#   Two even pictures of 0.5 and 0.6 differ by 20%, whatever the window.
# Seen: "window 4: 320.0, window 8: 1280.0, window 16: 5120.0; formula: 20.0, sliding RMSE 0.1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from torchmetrics.image import RelativeAverageSpectralError, RootMeanSquaredErrorUsingSlidingWindow

target, picture = torch.full((2, 3, 64, 64), 0.5), torch.full((2, 3, 64, 64), 0.6)
formula = (100 / target.mean() * ((picture - target) ** 2).mean((0, 2, 3)).mean().sqrt()).item()
seen = {window: RelativeAverageSpectralError(window_size=window)(picture, target).item() for window in (4, 8, 16)}
sliding = RootMeanSquaredErrorUsingSlidingWindow()(picture, target).item()
print(", ".join(f"window {window}: {value:.1f}" for window, value in seen.items()) + f"; formula: {formula:.1f}, sliding RMSE {sliding:.1f}")
assert abs(sliding - 0.1) < 1e-4 and abs(formula - 20) < 1e-3
assert all(abs(value / window**2 - formula) < 0.01 for window, value in seen.items())
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
