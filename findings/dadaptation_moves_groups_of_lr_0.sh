#!/usr/bin/env bash
# D-Adaptation's Lion, Adan and AdaGrad train a group whose learning rate is 0 as if it were that of the others; Adam and SGD do not.
#
# Versions: dadaptation 3.2, torch 2.13.0; Python 3.11
# Behaviour: a learning rate of 0 is how trainers leave a text encoder as it is. The message for other rates says "Setting different
#   lr values in different parameter groups is only supported for values of 0", Lion's too, and the README has "improved support of
#   edge cases such as learning rate zero". Lion reads the group's rate for that message alone; Adan and AdaGrad take the first
#   group's rate for all, 0.1 in place of 1 as well, without the message. Nothing warns, and what is logged as rate is 0.
# Seen: "DAdaptAdam: with 0.0 it moves by 0.0", "DAdaptSGD: with 0.0 it moves by 0.0", "DAdaptLion: with 0.0 it moves by 3.0, with
#   1.0 by 3.0", "DAdaptAdan: with 0.0 it moves by 4.0, with 1.0 by 4.0", "DAdaptAdaGrad: with 0.0 it moves by 3.6, with 1.0 by 3.6"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 dadaptation==3.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import dadaptation
import torch


def moved(name, rate):
    """How far the second layer comes in 200 steps, whose group has a learning rate of its own."""
    torch.manual_seed(0)
    first, second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
    pictures, targets = torch.randn(64, 8), torch.randn(64, 8)
    before = second.weight.detach().clone()
    groups = [{"params": first.parameters(), "lr": 1.0}, {"params": second.parameters(), "lr": rate}]
    optimizer = getattr(dadaptation, name)(groups, lr=1.0)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(second(torch.tanh(first(pictures))), targets).backward()
        optimizer.step()
    return (second.weight - before).norm().item()


for name in ("DAdaptAdam", "DAdaptSGD"):
    print(f"{name}: with 0.0 it moves by {moved(name, 0.0):.1f}")
    assert moved(name, 0.0) == 0
for name in ("DAdaptLion", "DAdaptAdan", "DAdaptAdaGrad"):
    print(f"{name}: with 0.0 it moves by {moved(name, 0.0):.1f}, with 1.0 by {moved(name, 1.0):.1f}")
    assert moved(name, 0.0) == moved(name, 1.0) > 1
for name in ("DAdaptAdan", "DAdaptAdaGrad"):
    assert moved(name, 0.1) == moved(name, 1.0)
PY
"$folder/venv/bin/python" "$folder/run.py"
