#!/usr/bin/env bash
# LyCORIS merges LoHa and LoKr with alpha / rank applied twice: of a rank of 8 with alpha 1 an eighth is left.
#
# Versions: lycoris-lora 4.1.3, torch 2.13.0; Python 3.11
# Behaviour: a LoHa or LoKr that is loaded by create_lycoris_from_weights and applied with apply_to() has the effect that it
#   had in training. merge_to(1.0), which is to write that into the weights, multiplies it by alpha / rank once more: the
#   merged checkpoint is weaker than the adapter, unless alpha is the rank. LoRA, the whole matrix ("full") and a LoKr of
#   layers so small that it keeps both its factors whole merge as they were trained. Shapes are right, and nothing warns.
# Seen: "lora, alpha 1: applied 1.0, merged 1.0", "full": the same; "loha, alpha 8: applied 1.0, merged 1.0", "loha, alpha 4:
#   applied 1.0, merged 0.5", "loha, alpha 1: applied 1.0, merged 0.125", and "lokr" as "loha"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 lycoris-lora==4.1.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import copy, logging, sys
import torch
logging.disable(logging.CRITICAL)
from lycoris import LycorisNetwork, create_lycoris, create_lycoris_from_weights

LycorisNetwork.apply_preset({"target_module": ["Linear", "Conv2d"]})
RANK = 8


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = torch.nn.Conv2d(4, 640, 3, padding=1), torch.nn.Linear(640, 640)

    def forward(self, picture):
        return self.linear(self.conv(picture).mean((2, 3)))


@torch.no_grad()
def effects(algorithm, alpha):
    """The effect of the saved file, applied and merged, as a share of what was trained."""
    torch.manual_seed(0)
    net, picture = Net().eval(), torch.randn(5, 4, 8, 8)
    fresh, base = copy.deepcopy(net), net(picture)
    adapter = create_lycoris(net, 1.0, linear_dim=RANK, linear_alpha=alpha, conv_dim=RANK, conv_alpha=alpha, algo=algorithm)
    adapter.apply_to()
    for parameter in adapter.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    adapter.eval()
    trained = net(picture) - base
    file = sys.argv[1] + "/adapter.safetensors"
    adapter.save_weights(file, torch.float32, {})

    def share(use):
        copied = copy.deepcopy(fresh)
        use(create_lycoris_from_weights(1.0, file, copied)[0].eval())
        effect = copied(picture) - base
        return round(((effect * trained).sum() / (trained * trained).sum()).item(), 2 if alpha > 1 else 3)

    return {"applied": share(lambda loaded: loaded.apply_to()), "merged": share(lambda loaded: loaded.merge_to(1.0))}


for algorithm, alpha, merged in (("lora", 1, 1.0), ("full", 1, 1.0), ("loha", 8, 1.0), ("loha", 4, 0.5), ("loha", 1, 0.125),
                                 ("lokr", 8, 1.0), ("lokr", 4, 0.5), ("lokr", 1, 0.125)):
    found = effects(algorithm, alpha)
    print(f"{algorithm}, alpha {alpha}:", ", ".join(f"{how} {share}" for how, share in found.items()))
    assert abs(found["applied"] - 1) < 0.01 and abs(found["merged"] / merged - 1) < 0.03
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
