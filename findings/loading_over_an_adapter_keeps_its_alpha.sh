#!/usr/bin/env bash
# peft's load_adapter into a name that is taken keeps the old alpha: of a LoRA with alpha 32 an eighth of the effect is left.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: load_adapter(folder, "default") on a model that has a "default" puts in the folder's weights and leaves out its
#   adapter_config.json: alpha, alpha_pattern, use_rslora and use_dora are those that were there. It returns "All keys
#   matched successfully", and save_pretrained() afterwards writes the weights beside the old alpha: the file is spoilt.
#   Under another name, with PeftModel.from_pretrained, and with hotswap_adapter (which raises on rsLoRA and patterns) the
#   effect is the trained one. A checkpoint that is resumed into a model made with a newer alpha is hit in the same way.
# Seen: "alpha 32: under another name 1.0, over \"default\" 0.125, saved again and loaded 0.125; <All keys matched ...>",
#   "rsLoRA: ... 1.0, ... 0.25, ... 0.25", "alpha_pattern: ... 1.0, ... 0.125, ... 0.125"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import sys, warnings
import torch
from peft import LoraConfig, PeftModel, get_peft_model

RANK, picture = 16, torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
CONFIGS = {"alpha 32": dict(lora_alpha=32), "rsLoRA": dict(lora_alpha=4, use_rslora=True),
           "alpha_pattern": dict(lora_alpha=4, alpha_pattern={"0": 32})}


def base():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64))


@torch.no_grad()
def effects(name, settings):
    plain, folder = base()(picture), f"{sys.argv[1]}/{name}"
    trained = get_peft_model(base(), LoraConfig(r=RANK, target_modules=["0"], **settings)).eval()
    trained.base_model.model[0].lora_B["default"].weight.normal_()
    trained.save_pretrained(folder)
    whole = (trained(picture) - plain).norm()

    def share(model):
        return round(((model.eval()(picture) - plain).norm() / whole).item(), 3)

    other = get_peft_model(base(), LoraConfig(r=RANK, lora_alpha=4, target_modules=["0"]))
    other.load_adapter(folder, "trained")
    other.set_adapter("trained")
    over = get_peft_model(base(), LoraConfig(r=RANK, lora_alpha=4, target_modules=["0"]))
    report = over.load_adapter(folder, "default")
    over.save_pretrained(folder + " again")
    return share(other), share(over), share(PeftModel.from_pretrained(base(), folder + " again")), str(report)


for (name, settings), left in zip(CONFIGS.items(), (0.125, 0.25, 0.125), strict=True):
    with warnings.catch_warnings(record=True) as caught:
        other, over, again, report = effects(name, settings)
    print(f'{name}: under another name {other}, over "default" {over}, saved again and loaded {again}; {report}')
    assert other == 1 and over == again == left and report == "<All keys matched successfully>"
    assert not [warning for warning in caught if "adapter" in str(warning.message).lower()]
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
