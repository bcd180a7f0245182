#!/usr/bin/env bash
# pytorch_optimizer's PolyScheduler raises the learning rate without end: after 1,000 steps it is 31 times its max_lr.
#
# Versions: pytorch-optimizer 4.1.0, transformers 5.24.0, torch 2.13.0; Python 3.11
# Behaviour: a polynomial schedule falls from max_lr after the warm-up to min_lr at the end, as it does in transformers, and as the
#   same library's LinearScheduler and CosineScheduler do. PolyScheduler, with the same arguments, multiplies max_lr - min_lr
#   by the number of steps since the warm-up to the power of poly_order, not by a share of the steps: the rate rises from max_lr
#   to 31 times it, with poly_order=1 to 990 times. Its page gives the formula and not what follows from it. Nothing warns.
# Seen: the rate after the warm-up, and after 1,000 steps, in multiples of max_lr: "LinearScheduler: 1.00 0.00",
#   "CosineScheduler: 1.00 0.00", "polynomial of transformers: 1.00 0.00", "PolyScheduler: 1.00 31.45"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 pytorch-optimizer==4.1.0 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from pytorch_optimizer import CosineScheduler, LinearScheduler, PolyScheduler
from transformers import get_polynomial_decay_schedule_with_warmup

STEPS, WARM_UP, RATE = 1000, 10, 1e-4


def rates(make):
    """The learning rates of all steps, in multiples of the largest that was asked for."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    schedule, seen = make(optimizer), []
    for _ in range(STEPS):
        optimizer.step()
        schedule.step()
        seen.append(float(optimizer.param_groups[0]["lr"]) / RATE)
    return seen


options = {"t_max": STEPS, "max_lr": RATE, "warmup_steps": WARM_UP}
found = {kind.__name__: rates(lambda given, kind=kind: kind(given, **options)) for kind in (LinearScheduler, CosineScheduler)}
found["polynomial of transformers"] = rates(
    lambda given: get_polynomial_decay_schedule_with_warmup(given, WARM_UP, STEPS, power=0.5, lr_end=0.0)
)
for seen in found.values():
    assert 0.99 < max(seen) < 1.01 and seen[-1] < 0.05
found["PolyScheduler"] = rates(lambda given: PolyScheduler(given, poly_order=0.5, **options))
for name, seen in found.items():
    print(f"{name}: {seen[WARM_UP]:.2f} {seen[-1]:.2f}")
assert found["PolyScheduler"][-1] > 30
PY
"$folder/venv/bin/python" "$folder/run.py"
