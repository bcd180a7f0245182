#!/usr/bin/env bash
# torchao's AdamW8bit and AdamWFp8 move weights by 80,000 learning rates where one input is 100 times the others.
#
# Versions: torchao 0.18.0, torch 2.13.0; Python 3.11
# Behaviour: they are drop-in replacements of AdamW, which moves a weight by about the learning rate. The averages of squared
#   gradients share a scale in blocks of 256; where a few gradients of a block are larger, as with one input feature that is
#   100 times as large as the others (transformers have such), those of the others are rounded to 0. Their weights are then moved by
#   the average gradient divided by eps, compiled or not. AdamW4bit, whose squares have no 0, takes steps of the usual size.
# Seen: "AdamW: largest step 1 lr, loss 40.85, in the second half up to 30.8", "AdamW4bit: largest step 1 lr",
#   "AdamW8bit: largest step 80,905 lr, loss 40.85, in the second half up to 179", "AdamWFp8: largest step 343,096 lr, ... 4.33e+03"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchao==0.18.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import logging, warnings
import torch

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from torchao.optim import AdamW4bit, AdamW8bit, AdamWFp8

torch.compiler.set_stance("force_eager")  # the same without a compiler
LR, STEPS = 1e-3, 60


def train(kind):
    """The largest move of a weight in one step, in learning rates, and the largest loss of a linear layer in training."""
    torch.manual_seed(0)
    layer, teacher = torch.nn.Linear(64, 64), torch.randn(64, 64) / 8
    optimizer = kind(layer.parameters(), lr=LR, weight_decay=0.0)
    largest, losses = 0.0, []
    for _ in range(STEPS):
        inputs = torch.randn(64, 64)
        targets = inputs @ teacher
        inputs[:, 0] *= 100
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(inputs), targets)
        loss.backward()
        before = layer.weight.detach().clone()
        optimizer.step()
        largest = max(largest, (layer.weight.detach() - before).abs().max().item() / LR)
        losses.append(loss.item())
    return largest, losses[0], max(losses[STEPS // 2:])


found = {}
for kind in (torch.optim.AdamW, AdamW4bit, AdamW8bit, AdamWFp8):
    found[kind.__name__], first, later = train(kind)
    step = f"largest step {found[kind.__name__]:,.0f} lr"
    print(f"{kind.__name__}: {step}, loss {first:.2f}, in the second half up to {later:.3g}", flush=True)
assert found["AdamW"] < 3 and found["AdamW4bit"] < 3 and found["AdamW8bit"] > 50 and found["AdamWFp8"] > 500
PY
"$folder/venv/bin/python" "$folder/run.py"
