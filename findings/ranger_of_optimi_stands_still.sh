#!/usr/bin/env bash
# optimi's Ranger moves bfloat16 weights by 2% of what it moves float32 ones at a learning rate of 1e-5, Kahan summation and all.
#
# Versions: torch-optimi 0.3.3, torch 2.13.0; Python 3.11
# Behaviour: Kahan summation, on by default for bfloat16, keeps what is too small for the weights until they can take it; AdamW,
#   RAdam and Lion move as far as in float32. Ranger draws the weights back to slow ones every sixth step. What the weights have just
#   taken is a single step of bfloat16; the half that the slow weights owe cancels the compensation that is left (minus one half), the
#   slow weights stay, and the weights become the slow ones: what six steps had saved is lost. With foreach as well. The
#   documentation has Ranger with Kahan summation as any other optimizer; loss and gradients look as they should.
# Seen: "lr 1e-05: AdamW 0.83, RAdam 0.93, Ranger 0.02, foreach 0.01", "lr 0.0001: AdamW 1.03, RAdam 1.01, Ranger 0.15, foreach 0.11",
#   "lr 0.001: AdamW 1.00, RAdam 1.00, Ranger 1.13, foreach 0.86" (the way in bfloat16 as a share of that in float32)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torch-optimi==0.3.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
import optimi


def moved(name, rate, dtype, foreach):
    """How far weights come on average in 300 steps whose gradients, apart from noise, are the same."""
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(256, 256).to(dtype))
    before, noise = weights.detach().float().clone(), torch.Generator().manual_seed(1)
    optimizer = getattr(optimi, name)([weights], lr=rate, foreach=foreach)
    for _ in range(300):
        weights.grad = (-1 + 0.1 * torch.randn(256, 256, generator=noise)).to(dtype)
        optimizer.step()
    return (weights.detach().float() - before).mean().item()


def share(name, rate, foreach=False):
    return moved(name, rate, torch.bfloat16, foreach) / moved(name, rate, torch.float32, foreach)


for rate in (1e-5, 1e-4, 1e-3):
    found = {"AdamW": share("AdamW", rate), "RAdam": share("RAdam", rate), "Ranger": share("Ranger", rate), "foreach": share("Ranger", rate, True)}
    print(f"lr {rate}:", ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
    assert all(0.8 < found[name] < 1.1 for name in ("AdamW", "RAdam"))
    assert all(value < {1e-5: 0.05, 1e-4: 0.25, 1e-3: 1.3}[rate] for value in (found["Ranger"], found["foreach"]))
PY
"$folder/venv/bin/python" "$folder/run.py"
