#!/usr/bin/env bash
# kornia_rs reads a TIFF whose colours lie in planes of their own as another picture: a third of its rows, in stripes.
#
# Versions: kornia_rs 0.2.0, tifffile 2026.3.3, pillow 12.3.0, opencv-python-headless 5.0.0.93; Python 3.11
# Behaviour: PlanarConfiguration=2 is part of TIFF 6.0, and what scanners and GIS tools write. read_image takes the bytes of the first plane as
#   pixels of three colours, says nothing, and gives the right shape. Pillow and OpenCV read the picture.
# Seen: "planes: kornia_rs is off by 83.2 per value (largest 255), Pillow is off by 0.0 ..., OpenCV ... 0.0", "interleaved: kornia_rs is off by 0.0 ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kornia_rs==0.2.0 tifffile==2026.3.3 pillow==12.3.0 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import cv2
import numpy as np
import tifffile
from kornia_rs import io
from PIL import Image

ramp = np.tile(np.linspace(0, 255, 64).astype("u1"), (48, 1))
picture = np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 30)], -1)
tifffile.imwrite("interleaved.tif", picture, photometric="rgb")
tifffile.imwrite("planes.tif", np.moveaxis(picture, -1, 0), photometric="rgb", planarconfig="separate")
for name in ("interleaved", "planes"):
    path = f"{name}.tif"
    read = {"kornia_rs": io.read_image(path), "Pillow": np.asarray(Image.open(path)), "OpenCV": cv2.imread(path)[..., ::-1]}
    off = {reader: np.abs(np.asarray(found).astype(int) - picture) for reader, found in read.items()}
    print(f"{name}: {', '.join(f'{reader} is off by {o.mean():.1f} per value (largest {o.max()})' for reader, o in off.items())}")
    assert off["Pillow"].max() == off["OpenCV"].max() == 0
    assert (off["kornia_rs"].mean() > 50) == (name == "planes")
    assert np.asarray(read["kornia_rs"]).shape == picture.shape
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/run.py"
