#!/usr/bin/env bash
# F.l1_loss(weight=) ignores the weight within "with torch.device(...)" and after torch.set_default_device(...).
#
# Versions: torch 2.13.0; Python 3.11
# Behaviour: a masked loss, here with the device that the tensors are on. Within a torch function mode l1_loss hands itself
#   on without its weight: loss and gradient are those of the plain mean, and what a mask leaves out is trained on. mse_loss
#   and huber_loss keep their weights. Nothing warns. One expects the device context to change what is created in it.
# Seen: "l1_loss: 1.0, within torch.device('cpu') 1.5, after set_default_device('cpu') 1.5", "mse_loss: 1.0, ... 1.0, ... 1.0"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
import torch.nn.functional as F

prediction, target = torch.tensor([1.0, 2.0]), torch.zeros(2)
weight = torch.tensor([1.0, 0.0])  # the second is masked
seen = {}
for name in ("l1_loss", "mse_loss", "huber_loss"):
    loss = getattr(F, name)
    plain = loss(prediction, target, weight=weight).item()
    with torch.device("cpu"):
        within = loss(prediction, target, weight=weight).item()
    torch.set_default_device("cpu")
    default = loss(prediction, target, weight=weight).item()
    torch.set_default_device(None)
    seen[name] = (plain, within, default)
    print(f"{name}: {plain}, within torch.device('cpu') {within}, after set_default_device('cpu') {default}")
assert seen["l1_loss"] == (1.0, 1.5, 1.5)
assert all(len(set(seen[name])) == 1 for name in ("mse_loss", "huber_loss"))
PY
"$folder/venv/bin/python" "$folder/run.py"
