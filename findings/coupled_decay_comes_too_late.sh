#!/usr/bin/env bash
# Nine optimizers of pytorch_optimizer, RAdam, AdamP and LaProp among them, have no weight decay at all with weight_decouple=False.
#
# Versions: pytorch-optimizer 4.1.0, torch 2.13.0; Python 3.11
# Behaviour: weight_decouple=False is "adding it to the gradient" in the docstrings. These nine add weight_decay times the weights to
#   a gradient that they have already used, or whose average they have already taken: after 20 steps the weights are, bit for bit,
#   those of weight_decay=0, with foreach and without. With weight_decouple=True they decay; Lion, AdaBelief, StableAdamW and
#   two thirds of the others do either way. Nothing warns, and weight decay stands in the group and in what is logged.
# Seen: "no decay unless decoupled: adamp adamwsn grams laprop radam ranger21 sgdp sgdsai tam",
#   "decay either way: lion adabelief stableadamw came"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 pytorch-optimizer==4.1.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import inspect
import torch
import pytorch_optimizer


def trained(name, decay, decoupled, foreach):
    """The weights of a linear layer after 20 steps."""
    torch.manual_seed(0)
    layer, inputs, targets = torch.nn.Linear(8, 8), torch.randn(16, 8), torch.randn(16, 8)
    kind = pytorch_optimizer.load_optimizer(name)
    options = {"num_iterations": 20, "foreach": foreach}
    options = {key: value for key, value in options.items() if key in inspect.signature(kind).parameters}
    optimizer = kind(layer.parameters(), lr=1e-2, weight_decay=decay, weight_decouple=decoupled, **options)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(layer(inputs), targets).backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in layer.parameters()])


def decays(name, decoupled):
    return {not torch.equal(trained(name, 0.5, decoupled, foreach), trained(name, 0.0, decoupled, foreach)) for foreach in (False, True)}


LOST = ("adamp", "adamwsn", "grams", "laprop", "radam", "ranger21", "sgdp", "sgdsai", "tam")
KEPT = ("lion", "adabelief", "stableadamw", "came")
print("no decay unless decoupled:", *[name for name in LOST if decays(name, True) == {True} and decays(name, False) == {False}])
print("decay either way:", *[name for name in KEPT if decays(name, True) == {True} and decays(name, False) == {True}])
assert all(decays(name, True) == {True} and decays(name, False) == {False} for name in LOST)
assert all(decays(name, True) == {True} and decays(name, False) == {True} for name in KEPT)
PY
"$folder/venv/bin/python" "$folder/run.py"
