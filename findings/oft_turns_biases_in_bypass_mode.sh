#!/usr/bin/env bash
# LyCORIS' OFT and BOFT in bypass_mode, its way for quantised models, turn a layer's bias as well, and their saved file does not.
#
# Versions: lycoris-lora 4.1.3, torch 2.13.0; Python 3.11
# Behaviour: without bypass_mode the two multiply a layer's weight by the matrix that they train. With it they multiply the layer's
#   output, which has the bias in it. For each layer that has one, as most of Flux' and all convolutions, another function
#   is trained than the file gives where it is loaded, applied or merged: the larger the bias, the less is left. LoRA, LoHa,
#   LoKr and GLoRA train the same in both ways, and so do OFT and BOFT without a bias.
# Seen: "diag-oft, bypass_mode, bias: base 2.37, trained 2.00, its file applied 2.26, merged 2.26", "boft, bypass_mode, bias:
#   base 2.37, trained 1.67, its file applied 1.95, merged 1.95"; the file is as good as what was trained in all other lines
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 lycoris-lora==4.1.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import logging, sys
import torch
logging.disable(logging.CRITICAL)
from lycoris import LycorisNetwork, create_lycoris, create_lycoris_from_weights

LycorisNetwork.apply_preset({"target_module": ["Linear", "Conv2d"]})
INPUTS = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
TARGETS = torch.randn(64, 32, generator=torch.Generator().manual_seed(1))


def net(bias):
    """A linear layer, with a constant bias or with none."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 32, bias=bool(bias))
    if bias:
        torch.nn.init.constant_(layer.bias, bias)
    return torch.nn.Sequential(layer).eval()


def loss(model):
    return torch.nn.functional.mse_loss(model(INPUTS), TARGETS)


def losses(algorithm, bypass, bias):
    """The losses of the base, of the trained adapter, and of its file applied and merged."""
    model = net(bias)
    found = [loss(model).item()]
    adapter = create_lycoris(model, 1.0, linear_dim=4, linear_alpha=4, algo=algorithm, bypass_mode=bypass)
    adapter.apply_to()
    optimizer = torch.optim.Adam(adapter.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    adapter.eval()
    found.append(loss(model).item())
    file = sys.argv[1] + "/adapter.safetensors"
    adapter.save_weights(file, torch.float32, {})
    for use in ("apply_to", "merge_to"):
        model = net(bias)
        loaded = create_lycoris_from_weights(1.0, file, model)[0].eval()
        loaded.apply_to() if use == "apply_to" else loaded.merge_to(1.0)
        found.append(loss(model).item())
    return found


for algorithm in ("lora", "lokr", "diag-oft", "boft"):
    for bypass, bias in ((False, 1.0), (True, 0.0), (True, 1.0)):
        base, trained, applied, merged = losses(algorithm, bypass, bias)
        print(f"{algorithm}, {'bypass_mode' if bypass else 'no bypass_mode'}, {'bias' if bias else 'no bias'}: "
              f"base {base:.2f}, trained {trained:.2f}, its file applied {applied:.2f}, merged {merged:.2f}")
        same = abs(applied - trained) < 1e-3 and abs(merged - trained) < 1e-3
        assert same != (algorithm in ("diag-oft", "boft") and bypass and bias > 0)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
