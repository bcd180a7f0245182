#!/usr/bin/env bash
# scikit-image's imread(as_gray=True) takes a CMYK JPEG for one with transparency: black is white, and so is nearly all else.
#
# Versions: scikit-image 0.26.0, imageio 2.38.1, pillow 12.3.0; Python 3.11
# Behaviour: a picture of four channels is laid on white by its fourth, rgba2rgb, and the fourth is the black of print: 0 where there is
#   none, which is most of a photo. Where it is not 0, inks are taken for colours. imread without as_gray gives the four inks in
#   an array like that of RGBA, imageio too. Pillow's convert("L") and OpenCV read the picture.
# Seen: "a ramp from black to white: CMYK 1.00 to 1.00, RGB 0.00 to 1.00, Pillow of CMYK 0.00 to 1.00"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 imageio==2.38.1 pillow==12.3.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
from PIL import Image
from skimage.io import imread

ramp = Image.linear_gradient("L").convert("RGB")
ramp.save("rgb.jpg", quality=95)
ramp.convert("CMYK").save("cmyk.jpg", quality=95)
found = {"CMYK": imread("cmyk.jpg", as_gray=True), "RGB": imread("rgb.jpg", as_gray=True)}
found["Pillow of CMYK"] = np.asarray(Image.open("cmyk.jpg").convert("L")) / 255
print("a ramp from black to white:", ", ".join(f"{name} {grey.min():.2f} to {grey.max():.2f}" for name, grey in found.items()))
assert found["CMYK"].min() > 0.98
for name in ("RGB", "Pillow of CMYK"):
    assert found[name].min() < 0.02
    assert found[name].max() > 0.98
assert imread("cmyk.jpg").shape[-1] == 4
PY
cd "$folder"
"$folder/venv/bin/python" -W ignore "$folder/run.py"
