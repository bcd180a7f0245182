#!/usr/bin/env bash
# transformers' GreedyLR never lowers a learning rate of 0.001 or less, however bad the loss becomes; it can only raise it.
#
# Versions: transformers 5.24.0, torch 2.13.0; Python 3.11
# Behaviour: the schedule "greedy" is to lower the rate where the loss no longer falls. Its min_lr is 0.001 unless it is given, and a
#   rate that is there or below counts as already at the minimum: with 1e-4 or 1e-5, as for a fine-tuning or a LoRA, a loss that
#   rises for 1,000 steps leaves the rate where it is, while one that falls for 1,000 steps multiplies it by 100. Nothing warns.
# Seen: the rate after 1,000 steps of a rising and of a falling loss: "1e-05: 1e-05 and 0.001", "0.0001: 0.0001 and 0.01",
#   "0.01: 0.001 and 1"; with min_lr=1e-7 "0.0001: 9.9e-07 and 0.01"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from transformers.optimization import get_scheduler


def after(rate, slope, **options):
    """The learning rate after 1,000 steps of losses that change by ``slope`` each."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    schedule = get_scheduler("greedy", optimizer, scheduler_specific_kwargs=options)
    for step in range(1000):
        schedule.step(1000.0 + slope * step)
    return optimizer.param_groups[0]["lr"]


for rate in (1e-5, 1e-4, 1e-2):
    rising, falling = after(rate, 1.0), after(rate, -1.0)
    print(f"{rate}: {rising:.2g} and {falling:.2g}")
    assert falling > 50 * rate and (rising == rate if rate <= 1e-3 else rising < rate)
rising, falling = after(1e-4, 1.0, min_lr=1e-7), after(1e-4, -1.0, min_lr=1e-7)
print(f"with min_lr=1e-7, 0.0001: {rising:.2g} and {falling:.2g}")
assert rising < 1e-5
PY
"$folder/venv/bin/python" "$folder/run.py"
