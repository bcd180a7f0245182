#!/usr/bin/env bash
# Merging an OFT adapter into a convolution of 3x3 gives a model that has little to do with the trained one.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: with kernels of 1x1 the output is the same before and after merge_and_unload. With 3x3, as in every block of a
#   U-Net, the merged output is as far from the trained one as training had moved it: what is rotated in the input's
#   patches and in the weights is not in one order. safe_merge=True does not see it. BOFT, HRA and LoRA merge exactly.
# Seen: "OFT, Conv2d(1x1): merging changes the output by 0% of what training did", "OFT, Conv2d(3x3): ... by 97% ...",
#   BOFT, HRA, LoRA: "... by 0% ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from peft import BOFTConfig, HRAConfig, LoraConfig, OFTConfig, get_peft_model

CONFIGS = {
    "OFT": OFTConfig(oft_block_size=4, target_modules=["0"]),
    "BOFT": BOFTConfig(boft_block_size=4, target_modules=["0"]),
    "HRA": HRAConfig(r=4, target_modules=["0"]),
    "LoRA": LoraConfig(r=4, target_modules=["0"]),
}
seen = {}
for name, config in CONFIGS.items():
    for size in (1, 3):
        torch.manual_seed(0)
        picture = torch.randn(1, 4, 8, 8)
        net = torch.nn.Sequential(torch.nn.Conv2d(4, 8, size)).eval()
        with torch.no_grad():
            base = net(picture)
            model = get_peft_model(net, config).eval()
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn_like(parameter))
            trained = model(picture)
            merged = model.merge_and_unload(safe_merge=True)(picture)
        seen[name, size] = (merged - trained).norm() / (trained - base).norm()
        print(f"{name}, Conv2d({size}x{size}): merging changes the output by {seen[name, size]:.0%} of what training did")
assert seen.pop(("OFT", 3)) > 0.8 and all(value < 0.001 for value in seen.values())
PY
"$folder/venv/bin/python" "$folder/run.py"
