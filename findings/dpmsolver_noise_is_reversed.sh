#!/usr/bin/env bash
# diffusers' DPMSolver, DEIS and UniPC schedulers add the noise of t = 999 at t = 1, and that of t = 1 at t = 999.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: a new scheduler has its timesteps from 999 down and its sigmas from the smallest up, and add_noise takes a
#   timestep's sigma by its place in the first list. The noise of a training batch is reversed, with no word: the sums over
#   all timesteps look right, and a loss per timestep is that of 999 - t. DDIM with the same betas is right. After
#   set_timesteps(20), as after a pipeline's first picture, it is right for 20 timesteps, and the other 980 all get one
#   level, 0.22; Euler's scheduler raises an IndexError for them. The documentation of add_noise says nothing of it.
# Seen: the factors of the noise at t = 1, 501, 999: "DDIM: new [0.04, 0.85, 1.0], after set_timesteps(20)
#   [0.04, 0.85, 1.0]", all others: "new [1.0, 0.85, 0.03], after set_timesteps(20) [0.22, 0.22, 1.0]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import diffusers, torch

BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
TIMESTEPS = torch.tensor([1, 501, 999])


def noise(scheduler):
    """The factor before the noise, at each timestep."""
    return [round(scheduler.add_noise(torch.zeros(1), torch.ones(1), t[None]).item(), 2) for t in TIMESTEPS]


seen = {}
for name in ("DDIM", "DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep"):
    scheduler = getattr(diffusers, name + "Scheduler")(**BETAS)
    fresh = noise(scheduler)
    scheduler.set_timesteps(20)
    seen[name] = (fresh, noise(scheduler))
    print(f"{name}: new {fresh}, after set_timesteps(20) {seen[name][1]}")
assert seen.pop("DDIM") == ([0.04, 0.85, 1.0], [0.04, 0.85, 1.0])
assert all(value == ([1.0, 0.85, 0.03], [0.22, 0.22, 1.0]) for value in seen.values())
PY
"$folder/venv/bin/python" "$folder/run.py"
