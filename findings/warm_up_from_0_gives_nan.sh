#!/usr/bin/env bash
# heavyball's SFAdamW makes NaN of all weights where the first learning rate is 0, as it is in a linear warm-up.
#
# Versions: heavyball 3.2.1, schedulefree 1.4.1, torch 2.13.0; Python 3.11
# Behaviour: a step of learning rate 0 is to change nothing. Warm-ups of transformers and diffusers begin with one, and a
#   group that is not to be trained has one. SFAdamW divides the square of the learning rate by the sum of those so far, 0 by
#   0: after one step every weight of the group is NaN. schedulefree's own AdamW takes that share for 0. With the option
#   warmup_steps, which begins above 0, it trains. The one warning is that changes of the learning rate are experimental.
# Seen: "schedulefree, warm-up from 0: loss 1.48 -> 0.01", "heavyball, warm-up from 0: loss 1.48 -> nan",
#   "heavyball, warmup_steps=10: loss 1.48 -> 0.00", "heavyball, one group of lr 0: 100% of its weights are NaN"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 heavyball==3.2.1 schedulefree==1.4.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math
import heavyball, schedulefree, torch

heavyball.utils.compile_mode = None  # its own switch: the same without a compiler


def train(kind, warmed, groups=lambda layer: layer.parameters(), **options):
    """The loss before and after 200 steps, and the layer."""
    torch.manual_seed(0)
    layer, inputs = torch.nn.Linear(16, 16), torch.randn(64, 16)
    optimizer = kind(groups(layer), lr=3e-2, **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10)) if warmed else None
    optimizer.train()
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(inputs), inputs.roll(1, 1))
        loss.backward()
        optimizer.step()
        if schedule:
            schedule.step()
        losses.append(loss.item())
    return losses[0], losses[-1], layer


found = {
    "schedulefree, warm-up from 0": train(schedulefree.AdamWScheduleFree, True),
    "heavyball, warm-up from 0": train(heavyball.SFAdamW, True),
    "heavyball, warmup_steps=10": train(heavyball.SFAdamW, False, warmup_steps=10),
}
for name, (first, last, _) in found.items():
    print(f"{name}: loss {first:.2f} -> {last:.2f}")
layer = train(heavyball.SFAdamW, False, lambda layer: [{"params": [layer.weight], "lr": 0.0}, {"params": [layer.bias]}])[2]
lost = layer.weight.isnan().float().mean().item()
print(f"heavyball, one group of lr 0: {lost:.0%} of its weights are NaN")
first, others = found["heavyball, warm-up from 0"], (found["schedulefree, warm-up from 0"], found["heavyball, warmup_steps=10"])
assert math.isnan(first[1]) and lost == 1 and all(last < 0.7 * start for start, last, _ in others)
PY
"$folder/venv/bin/python" "$folder/run.py"
