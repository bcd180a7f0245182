#!/usr/bin/env bash
# torchvision's ToDtype(torch.uint8, scale=True) makes black of white in half precision, and in bfloat16 half of all values are off.
#
# Versions: torchvision 0.28.0, torch 2.13.0, diffusers 0.42.1, pillow 12.3.0; Python 3.11
# Behaviour: v2.ToDtype and convert_image_dtype scale by 256 less a thousandth, and cut. In float16 and bfloat16 that is 256: a pixel
#   of 1.0 becomes 256, which wraps around to 0. A white background of a picture or a mask that was decoded, resized or augmented in
#   half precision turns black. There and back, uint8 to half to uint8, 16 of the 256 values change in float16, 128 in
#   bfloat16; in float32 none does. save_image and to_pil_image of the same torchvision, and diffusers' image processor, keep
#   white white in each type that they take.
# Seen: "float16: white becomes 0, 16 of 256 values change", "bfloat16: white becomes 0, 128 of 256 values change",
#   "float32: white becomes 255, 0 of 256 values change"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 diffusers==0.42.1 pillow==12.3.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import io
import numpy, torch

if torch.__version__.endswith("+cpu"):  # the compiled part of torchvision's own wheel does not load beside it, and is not used here
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torchvision.transforms import functional, v2
from torchvision.utils import save_image

GREYS = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(3, -1, -1).contiguous()
WAYS = {
    "v2.ToDtype": lambda picture: v2.ToDtype(torch.uint8, scale=True)(picture),
    "convert_image_dtype": lambda picture: functional.convert_image_dtype(picture, torch.uint8),
}


def as_file(picture):
    file = io.BytesIO()
    save_image(picture, file, format="png")
    return Image.open(file)


found = {}
for kind in (torch.float32, torch.float16, torch.bfloat16):
    name = str(kind).removeprefix("torch.")
    picture = v2.ToDtype(kind, scale=True)(GREYS)
    assert picture.max() == 1
    for way, convert in WAYS.items():
        back = convert(picture)
        found[name, way] = white, changed = back[0, -1, -1].item(), (back != GREYS)[0].sum().item()
        print(f"{name}, {way}: white becomes {white}, {changed} of 256 values change")
    others = {"save_image": as_file(picture), "diffusers": VaeImageProcessor().postprocess(2 * picture[None] - 1)[0]}
    whites = {way: int(numpy.asarray(other)[-1, -1, 0]) for way, other in others.items()}
    print(f"{name}, white in", whites)
    assert set(whites.values()) == {255}
for way in WAYS:
    assert [found[name, way] for name in ("float32", "float16", "bfloat16")] == [(255, 0), (0, 16), (0, 128)]
PY
"$folder/venv/bin/python" "$folder/run.py"
