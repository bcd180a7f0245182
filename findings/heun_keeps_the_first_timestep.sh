#!/usr/bin/env bash
# diffusers' FlowMatchHeunDiscreteScheduler adds the noise of the first timestep that it is asked for to all later ones.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: scale_noise looks a timestep up only where the scheduler has no step yet, and keeps the place that it found. A
#   loss per timestep then has the same level everywhere. The flow-matching Euler scheduler takes the timestep that it is
#   given; one expects the same of a method with the same signature and the same documentation.
# Seen: t = 100, 500, 900: "FlowMatchEulerDiscreteScheduler: [0.1, 0.5, 0.9]", "FlowMatchHeunDiscreteScheduler: [0.1, 0.1, 0.1]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler

seen = {}
for kind in (FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler):
    scheduler = kind(shift=1.0)
    levels = []
    for timestep in (100.0, 500.0, 900.0):
        t = torch.tensor([timestep])
        levels.append(round(scheduler.scale_noise(torch.zeros(1), t, torch.ones(1)).item(), 3))
    seen[kind.__name__] = levels
    print(f"{kind.__name__}: {levels}")
assert list(seen.values()) == [[0.1, 0.5, 0.9], [0.1, 0.1, 0.1]]
PY
"$folder/venv/bin/python" "$folder/run.py"
