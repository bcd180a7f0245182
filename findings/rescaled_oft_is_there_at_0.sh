#!/usr/bin/env bash
# At a strength of 0 a LyCORIS OFT or BOFT with rescaled=True still changes the model: its scales stay at full strength.
#
# Versions: lycoris-lora 4.1.3, torch 2.13.0; Python 3.11
# Behaviour: with set_multiplier(0), the strength of user interfaces, an adapter is to be without effect, as it is with LoRA, LoHa,
#   LoKr and an OFT without scales. With rescaled=True only the rotation follows the strength; the trained scale of each row is
#   applied in whole, at each strength and in merge_to(0) too, which writes it into the checkpoint. Nothing warns.
# Seen: how far outputs are from the base model's, as a share of the effect at 1: "diag-oft: multiplier 0.00, merged 0.00",
#   "diag-oft, rescaled: multiplier 0.12, merged 0.12", "boft, rescaled: multiplier 0.08, merged 0.08", others 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 lycoris-lora==4.1.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import copy, logging
import torch

logging.disable(logging.CRITICAL)
from lycoris import LycorisNetwork, create_lycoris

LycorisNetwork.apply_preset({"target_module": ["Linear"]})


@torch.no_grad()
def left_at_0(algorithm, **options):
    """The effects of a multiplier of 0, and of merging with 0, as shares of the effect."""
    torch.manual_seed(0)
    net, inputs = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64)), torch.randn(50, 32)
    base, copied = net(inputs), copy.deepcopy(net)

    def adapted(model):
        torch.manual_seed(1)
        adapter = create_lycoris(model, 1.0, linear_dim=8, linear_alpha=8, algo=algorithm, **options)
        for parameter in (parameter for module in adapter.loras for parameter in module.parameters()):
            parameter.add_(0.05 * torch.randn_like(parameter))
        return adapter.eval()

    adapter = adapted(net)
    adapter.apply_to()
    effect = (net(inputs) - base).norm()
    adapter.set_multiplier(0.0)
    adapted(copied).merge_to(0.0)
    return [((model(inputs) - base).norm() / effect).item() for model in (net, copied)]


for name, options in (("lora", {}), ("loha", {}), ("lokr", {}), ("diag-oft", {}), ("boft", {}),
                      ("diag-oft", {"rescaled": True}), ("boft", {"rescaled": True})):
    multiplied, merged = left_at_0(name, **options)
    print(f"{name}{', rescaled' if options else ''}: multiplier {multiplied:.2f}, merged {merged:.2f}")
    assert min(multiplied, merged) > 0.05 if options else max(multiplied, merged) < 0.01
PY
"$folder/venv/bin/python" "$folder/run.py"
