#!/usr/bin/env bash
# One NaN loss, and transformers' GreedyLR with smooth=True lowers the learning rate to its minimum, however well training goes.
#
# Versions: transformers 5.24.0, torch 2.13.0; Python 3.11
# Behaviour: smooth=True is to make single losses matter less. It keeps a running sum, which one NaN (a batch without targets, an
#   overflow in float16) makes NaN for good, also once the NaN has left the window: no later loss is better than the best, and
#   each counts as bad. Without smooth the same NaN counts as one bad loss, and the rate rises, as the losses fall.
# Seen: the rate after 2,000 losses that fall, one of them a NaN, from 0.01 on: "smooth=False, no NaN: 1",
#   "smooth=False, one NaN: 1", "smooth=True, no NaN: 1", "smooth=True, one NaN: 0.0001"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from transformers.optimization import get_greedy_schedule


def after(smooth, missing):
    """The learning rate after 2,000 falling losses, the tenth of them a NaN if it is ``missing``."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = get_greedy_schedule(optimizer, min_lr=1e-4, smooth=smooth, window_size=5)
    for step in range(2000):
        schedule.step(float("nan") if missing and step == 10 else 100 - 0.02 * step)
    return optimizer.param_groups[0]["lr"]


found = {(smooth, missing): after(smooth, missing) for smooth in (False, True) for missing in (False, True)}
for (smooth, missing), rate in found.items():
    print(f"smooth={smooth}, {'one' if missing else 'no'} NaN: {rate:.2g}")
assert found.pop((True, True)) < 0.002 and min(found.values()) > 0.1
PY
"$folder/venv/bin/python" "$folder/run.py"
