#!/usr/bin/env bash
# In its warm-down pytorch_optimizer's Ranger21 trains each group with the default learning rate, those with 0 too.
#
# Versions: pytorch-optimizer 4.1.0, torch 2.13.0; Python 3.11
# Behaviour: groups have learning rates of their own, as for a text encoder, and Ranger21 keeps to them while it warms up and on the
#   plateau. In the last 28% of num_iterations, in which the rate is to fall from the group's to warm_down_min_lr, it falls from the
#   rate that the optimizer was made with, in all groups: one with a hundredth of it makes steps a hundred times as large, and
#   one with 0, which was not to be trained, moves. The group's "lr", which is what is logged, stays as it was. Nothing warns.
# Seen: mean move per step on the plateau and in the warm-down: "group of lr 0.01: 1.1e-02 and 3.6e-03",
#   "group of lr 0.0001: 4.1e-05 and 1.4e-03", "group of lr 0: 0.0e+00 and 1.5e-03"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 pytorch-optimizer==4.1.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from pytorch_optimizer import Ranger21

STEPS = 400
PLATEAU, WARM_DOWN = range(200, 280), range(320, 400)  # the warm-up takes 88 steps, the warm-down the last 112


def moves(rate):
    """The mean move per step of the weights of a group with this learning rate, beside one with the default, in both phases."""
    torch.manual_seed(0)
    first, second = torch.nn.Linear(16, 16), torch.nn.Linear(16, 16)
    inputs, targets = torch.randn(64, 16), torch.randn(64, 16)
    groups = [{"params": [first.weight]}, {"params": [second.weight], "lr": rate}]
    optimizer = Ranger21(groups, num_iterations=STEPS, lr=1e-2, weight_decay=0.0, lookahead_blending_alpha=1.0)
    sizes = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(second(torch.tanh(first(inputs))), targets).backward()
        before = second.weight.detach().clone()
        optimizer.step()
        sizes.append((second.weight.detach() - before).abs().mean().item())
    assert optimizer.param_groups[1]["lr"] == rate
    return [sum(sizes[step] for step in phase) / len(phase) for phase in (PLATEAU, WARM_DOWN)]


found = {rate: moves(rate) for rate in (1e-2, 1e-4, 0.0)}
for rate, (plateau, warm_down) in found.items():
    print(f"group of lr {rate:g}: {plateau:.1e} and {warm_down:.1e}")
assert found[1e-2][1] < found[1e-2][0]
assert found[1e-4][1] > 5 * found[1e-4][0] and found[0.0][0] == 0 and found[0.0][1] > 10 * found[1e-4][0]
PY
"$folder/venv/bin/python" "$folder/run.py"
