#!/usr/bin/env bash
# diffusers' DEIS leaves noise in each picture of a flow model, 10% of it after 10 steps: its last step goes nowhere.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: with use_flow_sigmas=True the list of sigmas ends with its smallest one, twice, where DPMSolver and UniPC end with 0 (for
#   them final_sigmas_type is a choice, which DEIS does not have). The smallest is 1 / steps. For models of noise the smallest is
#   0.03 whatever the steps, and the same ending does little harm. Here the model is exact and all pictures are one: one expects
#   it. Solvers of the first order get there exactly.
# Seen: spread of the pixels around the picture, "DPMSolverMultistep: 10 steps 0.000, 20 steps 0.000, 50 steps 0.000", "UniPCMultistep"
#   the same, "DEISMultistep: 10 steps 0.100, 20 steps 0.050, 50 steps 0.020"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import diffusers, torch

PICTURE = 1.0
NOISE = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))


def left(name, steps):
    """The noise that is left, by an exact model of a single picture."""
    scheduler = getattr(diffusers, name + "Scheduler")(use_flow_sigmas=True, prediction_type="flow_prediction")
    scheduler.set_timesteps(steps)
    first = float(scheduler.sigmas[0])
    x = (1 - first) * PICTURE + first * NOISE
    for place, t in enumerate(scheduler.timesteps):
        x = scheduler.step((x - PICTURE) / scheduler.sigmas[place], t, x).prev_sample
    return x.std().item() / NOISE.std().item()


seen = {name: {steps: left(name, steps) for steps in (10, 20, 50)} for name in ("DPMSolverMultistep", "UniPCMultistep", "DEISMultistep")}
for name, spreads in seen.items():
    print(f"{name}:", ", ".join(f"{steps} steps {value:.3f}" for steps, value in spreads.items()))
assert all(abs(value - 1 / steps) < 0.002 for steps, value in seen.pop("DEISMultistep").items())
assert all(value < 0.001 for spreads in seen.values() for value in spreads.values())
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
