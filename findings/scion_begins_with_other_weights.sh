#!/usr/bin/env bash
# heavyball's Scion replaces the weights in its first step: a pretrained model is trained from random ones.
#
# Versions: heavyball 3.2.1, torch 2.13.0; Python 3.11
# Behaviour: the docstring names the norms of the update, and an optimizer moves weights. In its first step this one overwrites each
#   matrix and convolution by a random orthogonal one and each vector, the scale of a norm layer too, by zeros, whatever the
#   learning rate, 0 included, and says nothing. A resumed run keeps its weights only if the state of the optimizer is loaded as well.
#   In the authors' code, and in pytorch_optimizer's Scion, that is a call of its own, init().
# Seen: "trained, then one step of lr 0: AdamW 0.0000 -> 0.0000, Muon 0.0000 -> 0.0000, Scion 0.0000 -> 1.4038",
#   "scale of the norm layer after Scion: 0.0", "seed of the given weights changes what is left: False"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 heavyball==3.2.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
import heavyball

heavyball.utils.compile_mode = None  # its own switch: the same without a compiler
torch.manual_seed(0)
INPUTS, HIDDEN = torch.randn(64, 16), torch.randn(16, 4)
TARGETS = INPUTS @ HIDDEN / 4


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.LayerNorm(16), torch.nn.Linear(16, 64), torch.nn.SiLU(), torch.nn.Linear(64, 4))


def loss(net):
    return torch.nn.functional.mse_loss(net(INPUTS), TARGETS)


def step(net, optimizer):
    optimizer.zero_grad()
    loss(net).backward()
    optimizer.step()
    return net


def pretrained():
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(1500):
        step(net, optimizer)
    return net.state_dict()


weights, shown = pretrained(), {}
for name in ("AdamW", "Muon", "Scion"):
    net = network()
    net.load_state_dict(weights)
    before = loss(net).item()
    step(net, getattr(heavyball, name)(net.parameters(), lr=0.0))
    shown[name] = (before, loss(net).item())
print("trained, then one step of lr 0:", ", ".join(f"{name} {old:.4f} -> {new:.4f}" for name, (old, new) in shown.items()))
print("scale of the norm layer after Scion:", net[0].weight.abs().max().item())
others = [step(net, heavyball.Scion(net.parameters(), lr=0.0)) for net in (network(1), network(2))]
depends = not all(torch.equal(one, two) for one, two in zip(*(net.parameters() for net in others)))
print("seed of the given weights changes what is left:", depends)
assert all(old == new for name, (old, new) in shown.items() if name != "Scion")
assert shown["Scion"][1] > 100 * shown["Scion"][0] and net[0].weight.abs().max() == 0 and not depends
PY
"$folder/venv/bin/python" "$folder/run.py"
