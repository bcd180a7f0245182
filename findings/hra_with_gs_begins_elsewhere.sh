#!/usr/bin/env bash
# peft's HRA with apply_GS=True begins as another model, and its first step, however small, goes to yet another one.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: HRA begins with pairs of equal vectors whose reflections cancel out, so an untrained adapter changes nothing. Gram-Schmidt
#   subtracts the first of a pair from the second, and scales what rounding has left to length 1: half of the reflections are along
#   rounding errors. init_weights=True is the default, of which the documentation of a tuner without apply_GS holds. A step of 1e-6
#   per weight replaces those errors by the signs of the step. Nothing warns; trained on, it is a fine-tuning of a damaged model.
# Seen: "without: untrained 0.000, after one step of 1e-06 0.000 away from it, of 0.001 0.003",
#   "apply_GS=True: untrained 0.376, after one step of 1e-06 0.437 away from it, of 0.001 0.440" (1 is the size of the outputs)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from peft import HRAConfig, get_peft_model


def outputs(apply_gs, step=None):
    """A layer's outputs without the adapter, and with it, after one step of Adam where there is one."""
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(320, 320))
    pictures, targets = torch.randn(64, 320), torch.randn(64, 320)
    base = layer(pictures).detach()
    model = get_peft_model(layer, HRAConfig(r=8, target_modules=["0"], apply_GS=apply_gs))
    if step:
        optimizer = torch.optim.Adam(model.parameters(), lr=step)
        torch.nn.functional.mse_loss(model(pictures), targets).backward()
        optimizer.step()
    return base, model(pictures).detach()


for apply_gs in (False, True):
    base, untrained = outputs(apply_gs)
    away = [((one - other).norm() / base.norm()).item() for one, other in
            ((untrained, base), (outputs(apply_gs, 1e-6)[1], untrained), (outputs(apply_gs, 1e-3)[1], untrained))]
    print("apply_GS=True:" if apply_gs else "without:", "untrained {:.3f}, after one step of 1e-06 {:.3f} away from it, of 0.001 {:.3f}".format(*away))
    assert min(away) > 0.1 if apply_gs else max(away) < 0.05
PY
"$folder/venv/bin/python" "$folder/run.py"
