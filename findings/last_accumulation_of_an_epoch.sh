#!/usr/bin/env bash
# With accelerate's accumulate(), as in diffusers' scripts, the images at the end of each epoch move the weights by a fraction.
#
# Versions: accelerate 1.15.0, torch 2.13.0; Python 3.11
# Behaviour: gradient_accumulation_steps=4, batches of one image, and each image has a gradient of 1. backward() divides by
#   four whatever comes, and the end of the loader ends the accumulation: of nine images, the last one is a step of its own,
#   with a gradient of 0.25. The guide "Performing gradient accumulation with Accelerate" says that accumulate() looks
#   after the last batch. With SGD or weight decay of another scale that image counts a quarter in that epoch; Adam
#   makes a whole step of one image. Without shuffling (buckets, videos by length) it is the same images in each epoch. The
#   loss that the scripts log is not scaled, so that nothing shows. transformers' Trainer divides by what there is.
# Seen: "8 images: 1.0 1.0", "9 images: 1.0 1.0 0.25", "11 images: 1.0 1.0 0.75"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from accelerate import Accelerator


def gradients(images):
    """Of each step of an epoch; every image has a gradient of 1."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
    model = torch.nn.Linear(1, 1, bias=False)
    loader = torch.utils.data.DataLoader([torch.ones(1)] * images, batch_size=1)
    model, optimizer, loader = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1), loader)
    found = []
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(batch).mean())
            if accelerator.sync_gradients:
                found.append(model.weight.grad.item())
            optimizer.step()
            optimizer.zero_grad()
    return found


for images in (8, 9, 11):
    print(f"{images} images:", *gradients(images))
PY
said=$("$folder/venv/bin/python" "$folder/run.py")
echo "$said"
diff <(echo "$said") - <<'SEEN'
8 images: 1.0 1.0
9 images: 1.0 1.0 0.25
11 images: 1.0 1.0 0.75
SEEN
