#!/usr/bin/env bash
# peft's add_weighted_adapter makes of two rank-stabilised LoRAs one that is 5.7 times their sum at rank 16, 11.3 at rank 64.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: combination_type="cat" puts the matrices of two adapters beside each other, which is exactly their weighted sum;
#   "svd" with enough ranks is, too. The new adapter takes use_rslora=True over from the first one, with alpha set to the new
#   rank: plain LoRA divides by that and gets 1, and rsLoRA divides by its root. The effect is the root of the new rank times
#   too strong, with weights of 0.5 as well, and from one rsLoRA and one plain adapter where the first is rsLoRA. Both
#   adapters active together, without add_weighted_adapter, have the right sum. Nothing warns; it has been reported upstream.
# Seen: "LoRA, rank 16: active together 1.0, cat 1.0, svd 1.0", "rsLoRA, rank 16: active together 1.0, cat 5.66, svd 5.66",
#   "rsLoRA, rank 64: active together 1.0, cat 11.31, svd 11.31"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math
import torch
from peft import LoraConfig, get_peft_model


@torch.no_grad()
def effects(rank, rslora):
    """What two adapters do in one, as a multiple of the sum of what each of them does."""
    torch.manual_seed(0)
    config = LoraConfig(r=rank, lora_alpha=rank, use_rslora=rslora, target_modules=["0"])
    model = torch.nn.Sequential(torch.nn.Linear(256, 256))
    picture = torch.randn(8, 256)
    base = model(picture)
    model = get_peft_model(model, config, adapter_name="style").eval()
    model.add_adapter("subject", config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter += 0.1 * torch.randn_like(parameter)

    def effect(*adapters):
        model.base_model.set_adapter(list(adapters))
        return model(picture) - base

    total = effect("style") + effect("subject")
    found = {"active together": effect("style", "subject")}
    for kind in ("cat", "svd"):
        ranks = {"svd_rank": 2 * rank} if kind == "svd" else {}
        model.add_weighted_adapter(["style", "subject"], [1.0, 1.0], kind, combination_type=kind, **ranks)
        found[kind] = effect(kind)
        assert torch.cosine_similarity(found[kind].flatten(), total.flatten(), dim=0) > 0.999
    return {kind: round((one.norm() / total.norm()).item(), 2) for kind, one in found.items()}


for rank, rslora in ((16, False), (16, True), (64, True)):
    found = effects(rank, rslora)
    print(f"{'rsLoRA' if rslora else 'LoRA'}, rank {rank}:", ", ".join(f"{kind} {factor}" for kind, factor in found.items()))
    expected = math.sqrt(2 * rank) if rslora else 1
    assert found["active together"] == 1 and abs(found["cat"] - expected) < 0.02 and abs(found["svd"] - expected) < 0.02
PY
"$folder/venv/bin/python" "$folder/run.py"
