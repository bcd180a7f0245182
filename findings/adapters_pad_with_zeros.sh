#!/usr/bin/env bash
# peft's adapters pad convolutions with zeros, circular or reflected ones too: merging changes the model, BOFT and HRA at once.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: convolutions with padding_mode="circular" are how tileable pictures are made, "reflect" is common in decoders of
#   latents. The branch that LoRA, DoRA, LoHa, LoKr and HiRA compute beside such a layer has its stride and padding and
#   not its padding_mode; merged into its weight it gets it. At the borders training and the merged model are then two models,
#   and safe_merge=True says nothing. BOFT and HRA compute the whole layer anew, and change the output before the first
#   step, where the fresh ones of the others are an identity. With zeros all of them are exact.
# Seen: "circular: a fresh adapter changes the output by {'lora': 0.0, ..., 'boft': 0.37, 'hra': 0.37}", "circular: merging
#   changes it, as a part of what training did, by {'lora': 0.41, 'dora': 0.38, 'loha': 0.43, 'lokr': 0.48, 'hira': 0.45,
#   'boft': 0.87, 'hra': 0.93}", "zeros: ... 0.0"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from peft import BOFTConfig, HiraConfig, HRAConfig, LoHaConfig, LoKrConfig, LoraConfig, get_peft_model

LAYER = {"target_modules": ["0"]}
BESIDE = {"lora": LoraConfig(r=4, **LAYER), "dora": LoraConfig(r=4, use_dora=True, **LAYER), "loha": LoHaConfig(r=4, **LAYER),
          "lokr": LoKrConfig(r=4, **LAYER), "hira": HiraConfig(r=4, **LAYER)}
ANEW = {"boft": BOFTConfig(boft_block_size=4, **LAYER), "hra": HRAConfig(r=4, **LAYER)}


@torch.no_grad()
def changes(config, mode):
    """Of the output: by a fresh adapter, relative to its size; by merging, relative to what training did."""
    torch.manual_seed(0)
    picture = torch.randn(2, 8, 8, 8)
    net = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 3, padding=1, padding_mode=mode)).eval()
    base = net(picture)
    model = get_peft_model(net, config).eval()
    fresh = model(picture)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))
    trained = model(picture)
    merged = model.merge_and_unload(safe_merge=True)(picture)
    return ((fresh - base).norm() / base.norm()).item(), ((merged - trained).norm() / (trained - base).norm()).item()


for mode in ("zeros", "circular", "reflect"):
    first = {name: changes(config, mode)[0] for name, config in (BESIDE | ANEW).items()}
    merged = {name: changes(config, mode)[1] for name, config in (BESIDE | ANEW).items()}
    print(f"{mode}: a fresh adapter changes the output by", {name: round(value, 2) for name, value in first.items()})
    print(f"{mode}: merging changes it, as a part of what training did, by", {n: round(v, 2) for n, v in merged.items()})
    if mode == "zeros":
        assert max(first.values()) < 0.001 and max(merged.values()) < 0.001
    else:
        assert min(merged.values()) > 0.3
        assert all(first[name] < 0.001 for name in BESIDE) and all(first[name] > 0.3 for name in ANEW)
PY
"$folder/venv/bin/python" "$folder/run.py"
