#!/usr/bin/env bash
# Prodigy_adv(nesterov=True) of adv_optm moves each weight by 3 in its first step, 1,000,000 times as far as without it.
#
# Versions: adv_optm 2.5.16, torch 2.13.0; Python 3.11
# Behaviour: Prodigy's momentum is that of gradients times d, which is 1e-6 at first; Nesterov mixes the gradient into it
#   without d, and the sum is divided by d. In AdamW_adv, where both have one scale, the first step is as it should be.
#   Adopt_adv mixes gradients with momenta that were divided by their size: its steps now depend on the loss's scale,
#   which those of ADOPT do not. The README calls nesterov universal, "across all optimizers".
# Seen: "Prodigy_adv, first step: 3.2e-06 without nesterov, 3.2e+00 with it", "Adopt_adv, nesterov=True, 20 steps: 2.1e-04
#   with gradients of 0.01, 2.4e-04 with gradients of 1, 3.7e-03 with gradients of 100" (2.3e-04 with all without it)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 adv_optm==2.5.16 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from adv_optm import AdamW_adv, Adopt_adv, Prodigy_adv


def moved(kind, steps, scale, **options):
    """How far the weights come on average with random gradients of that size."""
    random = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(64, 64, generator=random))
    before = weight.detach().clone()
    optimizer = kind([weight], **options)
    for _ in range(steps):
        weight.grad = scale * torch.randn(64, 64, generator=random)
        optimizer.step()
    return (weight.detach() - before).abs().mean().item()


found = {}
for kind, options in ((AdamW_adv, {"lr": 1e-4}), (Prodigy_adv, {"lr": 1.0})):
    found[kind] = [moved(kind, 1, 1, nesterov=nesterov, **options) for nesterov in (False, True)]
    print(f"{kind.__name__}, first step: {found[kind][0]:.1e} without nesterov, {found[kind][1]:.1e} with it")
for nesterov in (False, True):
    found[nesterov] = [moved(Adopt_adv, 20, scale, lr=1e-4, nesterov=nesterov) for scale in (0.01, 1, 100)]
    print(f"Adopt_adv, nesterov={nesterov}, 20 steps:", ", ".join(
        f"{distance:.1e} with gradients of {scale}" for distance, scale in zip(found[nesterov], (0.01, 1, 100))))
plain, nesterov = found[AdamW_adv]
assert 0.5 < nesterov / plain < 2.5
plain, nesterov = found[Prodigy_adv]
assert plain < 1e-5 and nesterov > 1
assert found[False][2] < 1.1 * found[False][0] and found[True][2] > 5 * found[True][0]
PY
"$folder/venv/bin/python" "$folder/run.py"
