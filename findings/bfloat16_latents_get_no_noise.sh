#!/usr/bin/env bash
# With latents in bfloat16 diffusers' DDPM scheduler adds no noise at all in the first two timesteps, and has 192 levels.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: add_noise casts the cumulative products of alpha to the latents' type before it takes the square root of
#   1 - alpha. Near 1 bfloat16 has steps of 1/256: of the 1,000 noise levels of Stable Diffusion 192 are left, and those
#   of t = 0 and t = 1 are exactly 0. The training scripts cast latents to bfloat16 under --mixed_precision=bf16. A loss
#   per timestep has plateaus then, and the first two ask a model for noise that is not in its input. In float32 there are
#   1,000 levels, from 0.029 up.
# Seen: "bfloat16: 192 levels, no noise at t = [0, 1]", "float16: 762 levels, no noise at t = []", "float32: 1000 levels ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from diffusers import DDPMScheduler

scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
seen = []
for kind in (torch.bfloat16, torch.float16, torch.float32):
    latents = torch.zeros(1000, 1, 1, 1, dtype=kind)
    level = scheduler.add_noise(latents, torch.ones_like(latents), torch.arange(1000)).flatten()
    seen.append((len(level.unique()), (level == 0).nonzero().flatten().tolist()))
    print(f"{str(kind)[6:]}: {seen[-1][0]} levels, no noise at t = {seen[-1][1]}")
assert seen[0][1] == [0, 1] and seen[0][0] < 200 and seen[1][1] == [] and seen[2] == (1000, [])
PY
"$folder/venv/bin/python" "$folder/run.py"
