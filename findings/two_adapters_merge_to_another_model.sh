#!/usr/bin/env bash
# Two OFT or two C3A adapters that are active together in peft are merged to another model than the one that ran.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: a style and a subject, both set active by base_model.set_adapter([...]), then merge_and_unload() of the same model. OFT
#   turns inputs by the first and then the second, and merges the other way round. C3A gives the second adapter the output of
#   the first as its input, and merges their sum; with layers that are not square, two of them raise. One adapter alone merges
#   as it ran, and LoRA, LoHa, LoKr, BOFT and HRA merge two of them so, too. Nothing warns.
# Seen: differences as a share of the adapters' effect: "OFT: style 0.00, subject 0.00, both 0.53",
#   "C3A: style 0.00, subject 0.00, both 0.89", and "both 0.00" for the five others
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import copy, warnings
import torch
import peft

warnings.simplefilter("ignore")
SETTINGS = {"LoRA": {}, "LoHa": {}, "LoKr": {}, "BOFT": {"boft_block_size": 8}, "HRA": {},
            "OFT": {"oft_block_size": 8, "r": 0}, "C3A": {"block_size": 8}}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(64, 64), torch.nn.Linear(64, 8)

    def forward(self, inputs):
        return self.last(torch.tanh(self.first(inputs)))


def settings(name):
    kind = peft.LoraConfig if name == "LoRA" else getattr(peft, name + "Config")
    return kind(target_modules=["first"], **SETTINGS[name])


@torch.no_grad()
def merged(name, active):
    """How far the merged model's outputs are from the model's, as a share of what the adapters did to them."""
    torch.manual_seed(0)
    net, inputs = Net().eval(), torch.randn(50, 64)
    base = net(inputs)
    model = peft.get_peft_model(net, settings(name), "style")
    model.add_adapter("subject", settings(name))
    for key, parameter in model.eval().named_parameters():
        if ".style" in key or ".subject" in key:
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.base_model.set_adapter(active)
    ran = model(inputs)
    return ((copy.deepcopy(model).merge_and_unload()(inputs) - ran).norm() / (ran - base).norm()).item()


for name in SETTINGS:
    style, subject, both = (merged(name, active) for active in (["style"], ["subject"], ["style", "subject"]))
    print(f"{name}: style {style:.2f}, subject {subject:.2f}, both {both:.2f}")
    assert max(style, subject) < 0.01
    assert both > 0.3 if name in ("OFT", "C3A") else both < 0.01
PY
"$folder/venv/bin/python" "$folder/run.py"
