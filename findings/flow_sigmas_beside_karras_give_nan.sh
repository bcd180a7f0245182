#!/usr/bin/env bash
# Three of diffusers' schedulers turn a flow model's picture into NaN as soon as use_karras_sigmas is on beside use_flow_sigmas.
#
# Versions: diffusers 0.42.1, torch 2.13.0, scipy 1.17.1; Python 3.11
# Behaviour: the sigmas are chosen by an "elif" in which Karras', exponential and beta ones come before those of flows: they are made
#   of the betas and begin at 157 (14.6 with the betas of Stable Diffusion). step() still takes 1 - sigma for the share of the picture, and the logarithm of it. __init__
#   refuses any two of the three beside each other, not beside use_flow_sigmas. UniPC knows Karras' sigmas for flows, and only
#   those. The documentation has all as independent switches. Here the model is exact and the way has 20 steps.
# Seen: first sigma and mean error of a pixel, DPMSolverMultistep "alone: 1.0, 0.004", "use_karras_sigmas: 157.4, nan" (UniPCMultistep: "1.0, 0.017"),
#   "use_exponential_sigmas: 157.4, nan", "use_beta_sigmas: 157.4, nan"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6 scipy==1.17.1
cat > "$folder/run.py" <<'PY'
import math

import diffusers, torch

MEAN, SPREAD, STEPS = 1.0, 0.5, 20
Z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def way(name, **switches):
    """The first sigma, and the mean distance from the exact end, with an exact model of pixels from a normal distribution."""
    scheduler = getattr(diffusers, name + "Scheduler")(use_flow_sigmas=True, prediction_type="flow_prediction", **switches)
    scheduler.set_timesteps(STEPS)
    first = float(scheduler.sigmas[0])
    x = (1 - first) * MEAN + math.hypot((1 - first) * SPREAD, first) * Z
    for place, t in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[place])
        share = (x - (1 - sigma) * MEAN) / (((1 - sigma) * SPREAD) ** 2 + sigma**2)
        flow = sigma * share - MEAN - (1 - sigma) * SPREAD**2 * share
        x = scheduler.step(flow, t, x).prev_sample
    return round(first, 1), round((x - MEAN - SPREAD * Z).abs().mean().item(), 3)


for name in ("DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep"):
    seen = {"alone": way(name)}
    for switch in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"):
        seen[switch] = way(name, **{switch: True})
    print(f"{name}:", ", ".join(f"{switch} {value}" for switch, value in seen.items()))
    assert seen.pop("alone")[1] < 0.06
    if name == "UniPCMultistep":
        assert seen.pop("use_karras_sigmas")[1] < 0.02
    assert all(first == 157.4 and math.isnan(error) for first, error in seen.values())
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
