#!/usr/bin/env bash
# Each time that diffusers' pipeline is asked for its device it visits all modules of all its models: milliseconds.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: DiffusionPipeline._execution_device, which encode_prompt and many scripts read, looks for a hook of group offloading in
#   every module of every model before it answers with the pipeline's device; nothing is remembered. One would expect an attribute.
#   Asked at each draw of noise for an image, it took more than half of an evaluation of a small SDXL; ask once, and keep the answer.
# Seen: "139 modules; one access visits 417 of them"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

unet = UNet2DModel(sample_size=8, block_out_channels=(32, 32), down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2)
pipeline, modules, visited = DDPMPipeline(unet, DDPMScheduler()), sum(1 for _ in unet.modules()), 0
plain = torch.nn.Module.modules


def counted(self):
    global visited
    for module in plain(self):
        visited += 1
        yield module


torch.nn.Module.modules = counted
pipeline._execution_device
once = visited
pipeline._execution_device
print(f"{modules} modules; one access visits {once} of them")
assert once >= modules and visited == 2 * once
PY
"$folder/venv/bin/python" "$folder/run.py"
