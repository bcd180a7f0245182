#!/usr/bin/env bash
# In diffusers' flow-matching training a logit_mean of 1 trains on less noise, -1 on more: the reverse of the paper it cites.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: compute_density_for_timestep_sampling refers to the SD3 paper, in which a positive mean of the logit-normal leads
#   towards noise and a negative one towards data. Its u is the paper's; the training scripts of SD3, Flux and their
#   successors take it for an index into the scheduler's timesteps, which fall from 1000 to 1: u = 0.9 is a tenth of the
#   noise. With the default mean of 0 nothing is to be seen. Who takes logit_mean from the paper or from a trainer that
#   samples sigma itself trains the other end, and has other losses: no value is refused, and nothing warns.
# Seen: "logit_mean -1: paper 0.30, diffusers 0.70", "logit_mean 0: paper 0.50, diffusers 0.50",
#   "logit_mean 1: paper 0.69, diffusers 0.31" of the noise in the mean
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling

scheduler = FlowMatchEulerDiscreteScheduler()
data, noise = torch.zeros(20_000, 1), torch.ones(20_000, 1)
for mean, paper, expected in ((-1.0, 0.30, 0.70), (0.0, 0.50, 0.50), (1.0, 0.70, 0.30)):
    u = compute_density_for_timestep_sampling("logit_normal", batch_size=len(data), logit_mean=mean, logit_std=1.0,
                                              generator=torch.Generator().manual_seed(0))
    timesteps = scheduler.timesteps[(u * scheduler.config.num_train_timesteps).long()]
    shares = scheduler.scale_noise(data, timesteps, noise)  # how much of each is noise
    print(f"logit_mean {mean:.0f}: paper {u.mean():.2f}, diffusers {shares.mean():.2f}")
    assert abs(u.mean() - paper) < 0.02 and abs(shares.mean() - expected) < 0.02
PY
"$folder/venv/bin/python" "$folder/run.py"
