#!/usr/bin/env bash
# With min_lr_ratio=0.5 the learning rate of pytorch_optimizer's WSD schedule falls to 0.005 of itself, and leaps back to 0.5.
#
# Versions: pytorch-optimizer 4.1.0, transformers 5.24.0, torch 2.13.0; Python 3.11
# Behaviour: min_lr_ratio is where the decay ends. Three of the four cooldown_types, "1-sqrt", which is the default, "linear" and
#   "1-square", decay to 0 whatever it is, and the first step after the decay has min_lr_ratio at once: training ends with a rate a
#   hundred times as large as the one before. Only "cosine" heeds it; so do transformers' three decays.
# Seen: smallest rate in the decay, and the rate after it, with a ratio of 0.5: "pytorch_optimizer 1-sqrt: 0.00501 0.5",
#   "pytorch_optimizer linear: 0.01 0.5", "pytorch_optimizer 1-square: 0.0199 0.5", "pytorch_optimizer cosine: 0.5 0.5",
#   "transformers 1-sqrt: 0.503 0.5", "transformers linear: 0.505 0.5", "transformers cosine: 0.5 0.5"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 pytorch-optimizer==4.1.0 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import pytorch_optimizer
import torch
import transformers

DECAY, RATIO = 100, 0.5


def rates(make):
    """The smallest learning rate of the decay, and the rate after it; the largest is 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, seen = make(optimizer), []
    for _ in range(DECAY + 10):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return min(seen[4 : 4 + DECAY]), seen[4 + DECAY]


def ours(kind):
    return rates(lambda given: pytorch_optimizer.get_wsd_schedule(given, 2, 2, DECAY, min_lr_ratio=RATIO, cooldown_type=kind))


def theirs(kind):
    options = {"num_stable_steps": 2, "min_lr_ratio": RATIO, "decay_type": kind}
    return rates(lambda given: transformers.get_wsd_schedule(given, 2, DECAY, **options))


for kind in ("1-sqrt", "linear", "1-square", "cosine"):
    lowest, after = ours(kind)
    print(f"pytorch_optimizer {kind}: {lowest:.3g} {after:.3g}")
    assert after == RATIO and (lowest >= RATIO - 1e-9 if kind == "cosine" else lowest < 0.03)
for kind in ("1-sqrt", "linear", "cosine"):
    lowest, after = theirs(kind)
    print(f"transformers {kind}: {lowest:.3g} {after:.3g}")
    assert lowest >= RATIO - 1e-9 and after == RATIO
PY
"$folder/venv/bin/python" "$folder/run.py"
