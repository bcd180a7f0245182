#!/usr/bin/env bash
# In Prodigy a group whose learning rate becomes 0 goes on moving at full speed, in a straight line.
#
# Versions: prodigyopt 1.1.2, torch 2.13.0; Python 3.11
# Behaviour: groups may have the common rate or 0, as its error message says. The step is taken with the largest rate of all
#   groups; a group of 0 is only kept from new gradients. A text encoder that is stopped with a schedule of its own keeps
#   its momentum for good, and with weight_decay a group decays that had a rate of 0 from the beginning. AdamW stops both.
#   With requires_grad=False the weights stop in Prodigy too.
# Seen: "AdamW: stopped after 500 steps, the group moves by 0.0 of its size in 500 more and 0.0 in 1000 more; ... 100.0%",
#   "Prodigy: stopped after 500 steps, the group moves by 17.3 of its size in 500 more and 37.5 in 1000 more; with a rate of 0
#   from the beginning 35.5% of its size are left after 1000 steps"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 prodigyopt==1.1.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from prodigyopt import Prodigy


def run(kind, stop, **options):
    """Where the second of two groups is at its stop, 500 and 1,000 steps later: away from the stop, its size."""
    random = torch.Generator().manual_seed(0)
    unet, text = (torch.nn.Parameter(torch.randn(32, 32, generator=random)) for _ in range(2))
    goals = torch.randn(2, 32, 32, generator=random)
    optimizer = kind([{"params": [unet]}, {"params": [text]}], **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda step: 1.0, lambda step: float(step < stop)])
    places = []
    for _ in range(stop + 1001):
        places.append(text.detach().clone())
        optimizer.zero_grad()
        noise = 0.1 * torch.randn(2, 32, 32, generator=random)
        ((unet - goals[0] + noise[0]).square().mean() + (text - goals[1] + noise[1]).square().mean()).backward()
        optimizer.step()
        schedule.step()
    places = [places[stop + later] for later in (0, 500, 1000)]
    ways = [(place - places[0]).flatten() for place in places[1:]]
    assert kind is not Prodigy or torch.cosine_similarity(*ways, dim=0) > 0.999
    return [way.norm().item() / places[0].norm().item() for way in ways], places[2].norm().item() / places[0].norm().item()


KINDS = {"AdamW": (torch.optim.AdamW, {"lr": 1e-3}),
         "Prodigy": (Prodigy, {"lr": 1.0, "safeguard_warmup": True, "use_bias_correction": True})}
moved, left = {}, {}
for name, (kind, options) in KINDS.items():
    moved[name], _ = run(kind, 500, weight_decay=0, **options)
    _, left[name] = run(kind, 0, weight_decay=0.01, **options)
    print(f"{name}: stopped after 500 steps, the group moves by {moved[name][0]:.1f} of its size in 500 more and "
          f"{moved[name][1]:.1f} in 1000 more; with a rate of 0 from the beginning {100 * left[name]:.1f}% of its size are left "
          "after 1000 steps")
assert moved["AdamW"] == [0, 0] and left["AdamW"] == 1
assert moved["Prodigy"][0] > 0.2 and moved["Prodigy"][1] > 1.8 * moved["Prodigy"][0] and left["Prodigy"] < 0.9
PY
"$folder/venv/bin/python" "$folder/run.py"
