#!/usr/bin/env bash
# The mean of a batch's float16 losses is finite with mean and mse_loss; nanmean gives infinity, mse_loss(weight=) NaN.
#
# Versions: torch 2.13.0; Python 3.11
# Behaviour: four latents of Stable Diffusion are 65,536 losses. mean and mse_loss sum them in float32. nanmean, masked.mean
#   and mse_loss with a weight (of ones) divide a sum that is float16 already: it, and the sum of the weights, are above
#   65,504. One expects nanmean to be mean where nothing is NaN, and a weight of 1 to change nothing.
# Seen: "mean: 2.002", "mse_loss: 2.002", "nanmean: inf", "masked.mean: inf", "mse_loss, weight of ones: nan"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
import torch.nn.functional as F

torch.manual_seed(0)
prediction, target = torch.randn(2, 4, 4, 64, 64).half()  # a batch of four latents of Stable Diffusion
losses = (prediction - target) ** 2
seen = {
    "mean": losses.mean(),
    "mse_loss": F.mse_loss(prediction, target),
    "nanmean": losses.nanmean(),
    "masked.mean": torch.masked.mean(losses, mask=torch.ones_like(losses, dtype=torch.bool)),
    "mse_loss, weight of ones": F.mse_loss(prediction, target, weight=torch.ones_like(losses)),
}
for name, value in seen.items():
    print(f"{name}: {value.item():.3f}")
good, bad = list(seen.values())[:2], list(seen.values())[2:]
assert all(abs(value - 2) < 0.05 for value in good) and not any(value.isfinite() for value in bad)
PY
"$folder/venv/bin/python" "$folder/run.py"
