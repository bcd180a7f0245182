#!/usr/bin/env bash
# OpenCV turns JPEG, PNG and WebP upright, and leaves an AVIF that Pillow saved of the same photo on its side.
#
# Versions: opencv-python-headless 5.0.0.93, pillow 12.3.0, pyvips 3.2.0; Python 3.11
# Behaviour: the docs of imread say that EXIF's orientation is applied unless IMREAD_IGNORE_ORIENTATION is given, and exempt no format. AVIF
#   has a turn of its own (irot), which Pillow writes for that of EXIF, and reads back as it; libvips applies it, OpenCV does not.
#   A data set that was saved again as AVIF has its photos of phones on their side, with captions and boxes that no longer fit.
# Seen: "JPEG: 48 x 64, libvips 48 x 64", "PNG: 48 x 64, ...", "WEBP: 48 x 64, ...", "AVIF: 64 x 48, libvips 48 x 64"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pillow==12.3.0 numpy==2.4.6 \
    pyvips==3.2.0 pyvips-binary==8.18.7
cat > "$folder/run.py" <<'PY'
import cv2
import pyvips
from PIL import Image, ImageOps

lying = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
exif = Image.Exif()
exif[0x0112] = 6
found = {}
for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
    name = f"photo.{kind.lower()}"
    lying.save(name, kind, exif=exif)
    height, width, _ = cv2.imread(name).shape
    other = pyvips.Image.thumbnail(name, 64, height=64)
    found[kind] = width, height
    print(f"{kind}: {width} x {height}, libvips {other.width} x {other.height}, Pillow {ImageOps.exif_transpose(Image.open(name)).size}")
    assert (other.width, other.height) == (48, 64)
    assert ImageOps.exif_transpose(Image.open(name)).size == (48, 64)
assert found == {"JPEG": (48, 64), "PNG": (48, 64), "WEBP": (48, 64), "AVIF": (64, 48)}
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/run.py"
