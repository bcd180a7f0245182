#!/usr/bin/env bash
# With W&B's define_metric(summary="min") one NaN makes the best loss NaN for the rest of the run; the maximum of True and False is 0.
#
# Versions: wandb 0.31.0; Python 3.11
# Behaviour: "min", "max" and "mean" of the summary, by which runs are sorted and compared, begin with NaN after one NaN, and losses
#   that come later change nothing: a run whose loss was NaN in one step of mixed precision has no best loss any more. One
#   expects the smallest number, as W&B's own columns of minima over a history have it. Beside "last" nothing tells. None and
#   strings are left out. Of True and False "max" and "min" are 0 and "mean" is NaN, where "last" and the history have them.
# Seen: "[3, nan, 1, 2] -> min nan, max nan, mean nan, last 2", "[3, inf, 1] -> min 1, max inf", "[3, None, 1] -> min 1, max 3, mean 2.0",
#   "[True, False] -> min 0, max 0, mean nan, last False"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check wandb==0.31.0
cat > "$folder/run.py" <<'PY'
import math
import os
import sys

os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true")
import wandb


def summary(values):
    """The summary of a run that has logged these values."""
    with wandb.init(project="p", dir=sys.argv[1]) as run:
        run.define_metric("loss", summary="min,max,mean,last")
        for value in values:
            run.log({"loss": value})
        found = {key: run.summary["loss"][key] for key in ("min", "max", "mean", "last")}
    print(values, "->", ", ".join(f"{key} {value}" for key, value in found.items()))
    return found


for values in ([3, math.nan, 1, 2], [math.nan, 3, 1]):
    found = summary(values)
    assert all(math.isnan(found[key]) for key in ("min", "max", "mean")) and found["last"] == values[-1]
assert summary([3, math.inf, 1])["min"] == 1
assert summary([3, None, 1]) == {"min": 1, "max": 3, "mean": 2, "last": 1}
found = summary([True, False])
assert found["min"] == found["max"] == 0 and math.isnan(found["mean"]) and found["last"] is False
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/run.py" "$folder"
