#!/usr/bin/env bash
# diffusers' UniPC with solver_type="bh1", recommended for few steps, gives NaN with all other defaults, for models of noise and of flow.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: the last sigma is 0 by default, so the last step is of infinite length h in the logarithm of the signal's share. bh2's
#   factor exp(-h) - 1 stays finite there; bh1's is h itself, and the picture becomes infinity times 0. The documentation says of the
#   choice "It is recommended to use bh1 for unconditional sampling when steps < 10". With final_sigmas_type="sigma_min" it is
#   finite. Nothing warns, all steps but the last are right. Here the model is exact.
# Seen: mean error of a pixel after 8 steps: "noise: bh2 0.10, bh1 nan, bh1 with sigma_min 0.09",
#   "flow: bh2 0.01, bh1 nan, bh1 with sigma_min 0.13"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math

import torch
from diffusers import UniPCMultistepScheduler

MEAN, SPREAD, STEPS = 1.0, 0.5, 8
Z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def error(flow, **choices):
    """The mean distance from the exact end, with an exact model of pixels from a normal distribution."""
    kind = dict(use_flow_sigmas=True, prediction_type="flow_prediction") if flow else {}
    scheduler = UniPCMultistepScheduler(**kind, **choices)
    scheduler.set_timesteps(STEPS)
    x = None
    for place, t in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[place])
        signal, noise = (1 - sigma, sigma) if flow else (1 / math.hypot(1, sigma), sigma / math.hypot(1, sigma))
        if x is None:
            x = signal * MEAN + math.hypot(signal * SPREAD, noise) * Z
        share = (x - signal * MEAN) / ((signal * SPREAD) ** 2 + noise**2)
        output = noise * share
        x = scheduler.step(output - MEAN - signal * SPREAD**2 * share if flow else output, t, x).prev_sample
    return (x - MEAN - SPREAD * Z).abs().mean().item()


for flow in (False, True):
    bh2, bh1 = error(flow), error(flow, solver_type="bh1")
    ended = error(flow, solver_type="bh1", final_sigmas_type="sigma_min")
    print(f"{'flow' if flow else 'noise'}: bh2 {bh2:.2f}, bh1 {bh1:.2f}, bh1 with sigma_min {ended:.2f}")
    assert bh2 < 0.2 and math.isnan(bh1) and ended < 0.2
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
