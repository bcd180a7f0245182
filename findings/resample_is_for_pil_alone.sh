#!/usr/bin/env bash
# diffusers' VaeImageProcessor(resample="lanczos") shrinks a PIL picture by lanczos, and an array or tensor by dropping pixels.
#
# Versions: diffusers 0.42.1, torch 2.13.0, pillow 12.3.0; Python 3.11
# Behaviour: a board of black and white pixels, 64 x 64, to 16 x 16. Of a PIL picture the mean is kept. Of the same picture as
#   an array or a tensor every fourth pixel is taken whatever resample says: it is black. One data set gives other latents,
#   and other losses, when its pictures are loaded as tensors. The documentation of resample names no such limit.
# Seen: "lanczos: PIL 0.0, numpy -1.0, torch -1.0", "bicubic: PIL 0.0, numpy -1.0, torch -1.0",
#   "nearest: PIL -1.0, numpy -1.0, torch -1.0"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 diffusers==0.42.1 numpy==2.4.6 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import numpy, torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

board = numpy.indices((64, 64)).sum(0) % 2  # black and white pixels in turn: grey from afar
pixels = numpy.stack([board] * 3, -1)
FORMS = {
    "PIL": Image.fromarray((255 * pixels).astype("uint8")),
    "numpy": pixels[None].astype("float32"),
    "torch": torch.tensor(pixels[None], dtype=torch.float32).permute(0, 3, 1, 2),
}
seen = {}
for resample in ("lanczos", "bicubic", "nearest"):
    processor = VaeImageProcessor(resample=resample)
    for name, picture in FORMS.items():
        seen[resample, name] = round(processor.preprocess(picture, height=16, width=16).mean().item(), 1) + 0.0
    print(f"{resample}:", ", ".join(f"{name} {seen[resample, name]}" for name in FORMS))
assert all(seen[resample, "PIL"] == (-1 if resample == "nearest" else 0) for resample in ("lanczos", "bicubic", "nearest"))
assert all(value == -1 for (_, name), value in seen.items() if name != "PIL")
PY
"$folder/venv/bin/python" "$folder/run.py"
