#!/usr/bin/env bash
# With coft=True and its default eps an OFT adapter of peft changes outputs by 0.00003, however long it is trained.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: eps is "the freedom of rotation", 6e-5. It bounds the norm of what a whole block may be turned by, after a division
#   by the root of the number of blocks, and nothing multiplies it by the layer's size. So each weight may change by some
#   0.00001 of itself: with 300 steps that bring OFT's loss down to a fifth the loss stays what it was. Parameters are trainable,
#   gradients flow, a file is saved, and nothing warns. With eps=1.0 there is a constrained OFT that learns.
# Seen: "oft: loss 0.151 -> 0.026, outputs moved by 1.3", "coft: loss 0.151 -> 0.151, outputs moved by 2.9e-05",
#   "coft, eps=0.001: loss 0.151 -> 0.151, outputs moved by 0.00048", "coft, eps=1.0: loss 0.151 -> 0.109, outputs moved by 0.42"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from peft import OFTConfig, get_peft_model


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(64, 64), torch.nn.Linear(64, 8)

    def forward(self, inputs):
        return self.last(torch.tanh(self.first(inputs)))


def train(**options):
    """The loss before and after, and the largest change of an output."""
    torch.manual_seed(0)
    net, inputs = Net(), torch.randn(256, 64)
    with torch.no_grad():
        targets, before = Net()(inputs), net(inputs)
    model = get_peft_model(net, OFTConfig(target_modules=["first"], oft_block_size=32, r=0, **options))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1], (model(inputs) - before).abs().max().item()


found = {}
for name, options in {"oft": {}, "coft": {"coft": True}, "coft, eps=0.001": {"coft": True, "eps": 1e-3},
                      "coft, eps=1.0": {"coft": True, "eps": 1.0}}.items():
    first, last, moved = found[name] = train(**options)
    print(f"{name}: loss {first:.3f} -> {last:.3f}, outputs moved by {moved:.2g}")
assert found["oft"][1] < 0.5 * found["oft"][0] and found["coft, eps=1.0"][1] < 0.9 * found["coft, eps=1.0"][0]
assert found["coft"][2] < 1e-4 and abs(found["coft"][1] - found["coft"][0]) < 1e-3
PY
"$folder/venv/bin/python" "$folder/run.py"
