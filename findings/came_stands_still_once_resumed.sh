#!/usr/bin/env bash
# CAME's averages of bfloat16 weights stand still once a run is resumed: steps stay small where the gradients have become so.
#
# Versions: came-pytorch 0.1.3, torch 2.13.0; Python 3.11
# Behaviour: CAME keeps its averages in float32, for weights in bfloat16 too. torch's load_state_dict turns them into the
#   type of the weights, and CAME, unlike Adafactor of transformers, does not turn them back: 0.999 and 0.9999 times a
#   number of bfloat16 are that number again. Nothing but larger gradients changes them from then on.
# Seen: "torch.bfloat16, in one go: steps of 0.83 before, 0.52 5,000 steps after gradients fell to a tenth",
#   "torch.bfloat16, resumed: steps of 0.83 before, 0.10 5,000 steps after ..."; in float32 0.52 both times
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 came-pytorch==0.1.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import io
import torch
from came_pytorch.CAME import CAME


def run(kind, resume):
    """Mean sizes of the steps before and long after gradients fall to a tenth, which is where the run may be resumed."""
    random = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(16, 16, dtype=kind))
    optimizer = CAME([weight], lr=1.0)
    sizes = []
    for step in range(6000):
        if resume and step == 1000:
            file = io.BytesIO()
            torch.save(optimizer.state_dict(), file)
            file.seek(0)
            optimizer = CAME([weight], lr=1.0)
            optimizer.load_state_dict(torch.load(file, weights_only=True))
        weight.data.zero_()  # so that the weight is the step, whatever its type
        weight.grad = ((1 if step < 1000 else 0.1) * torch.randn(16, 16, generator=random)).to(kind)
        optimizer.step()
        sizes.append(weight.detach().float().square().mean().sqrt().item())
    return sum(sizes[900:1000]) / 100, sum(sizes[5900:]) / 100


after = {}
for kind in (torch.float32, torch.bfloat16):
    for resume in (False, True):
        before, after[kind, resume] = run(kind, resume)
        print(f"{kind}, {'resumed' if resume else 'in one go'}: steps of {before:.2f} before, {after[kind, resume]:.2f} "
              "5,000 steps after gradients fell to a tenth")
assert after[torch.float32, True] == after[torch.float32, False]
assert after[torch.bfloat16, True] < 0.4 * after[torch.bfloat16, False]
PY
"$folder/venv/bin/python" "$folder/run.py"
