#!/usr/bin/env bash
# heavyball's AdamC, SFAdamW and HyperBallAdamW take update_clipping and clip nothing, RMSprop's caution does nothing.
#
# Versions: heavyball 3.2.1, torch 2.13.0; Python 3.11
# Behaviour: its README has update_clipping, which "clips outgoing updates after all transforms", among the options of all
#   optimizers, by a name or by a function. With one that divides each update by 1,000 AdamW, LaProp, ADOPT, Muon and SGD
#   hardly move; with these three the weights are, bit for bit, those of a run without it: the result is dropped. RMSprop
#   trains the same with caution=True and without. An option that does not exist raises; these are taken, and stand in what is
#   logged.
# Seen: "update_clipping moves weights by this share: AdamW 0.001, LaProp 0.001, ADOPT 0.001, Muon 0.001, SGD 0.001, AdamC 1.000,
#   SFAdamW 1.000, HyperBallAdamW 1.000", "caution changes the weights: AdamW True, LaProp True, ADOPT True, RMSprop False"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 heavyball==3.2.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
import heavyball

heavyball.utils.compile_mode = None  # its own switch: the same without a compiler
TAKEN, IGNORED = ("AdamW", "LaProp", "ADOPT", "Muon", "SGD"), ("AdamC", "SFAdamW", "HyperBallAdamW")


def move(name, **options):
    """What ten steps add to the weights of a linear layer."""
    torch.manual_seed(0)
    layer, inputs = torch.nn.Linear(16, 16), torch.randn(64, 16)
    optimizer = getattr(heavyball, name)(layer.parameters(), lr=1e-2, **options)
    if name == "SFAdamW":
        optimizer.train()
    before = layer.weight.detach().clone()
    for _ in range(10):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(layer(inputs), inputs.roll(1, 1)).backward()
        optimizer.step()
    return layer.weight.detach() - before


def thousandth(updates):
    return [update.mul_(0.001) for update in updates]


shares = {}
for name in TAKEN + IGNORED:
    clipped, free = move(name, update_clipping=thousandth), move(name)
    shares[name] = (clipped.norm() / free.norm()).item()
    assert torch.equal(clipped, free) == (name in IGNORED)
changed = {name: not torch.equal(move(name, caution=True), move(name)) for name in ("AdamW", "LaProp", "ADOPT", "RMSprop")}
print("update_clipping moves weights by this share:", ", ".join(f"{name} {share:.3f}" for name, share in shares.items()))
print("caution changes the weights:", ", ".join(f"{name} {does}" for name, does in changed.items()))
assert all(shares[name] < 0.05 for name in TAKEN)
assert changed == {"AdamW": True, "LaProp": True, "ADOPT": True, "RMSprop": False}
PY
"$folder/venv/bin/python" "$folder/run.py"
