#!/usr/bin/env bash
# AlbumentationsX turns a picture of 16 bits into a white one of floats in eight of its transforms, and says nothing.
#
# Versions: albumentationsx 2.5.1, torch 2.13.0; Python 3.11
# Behaviour: OpenCV reads a PNG of 16 bits as uint16. The transforms are for uint8 and float32; Resize, HorizontalFlip or
#   GaussianBlur take uint16 as well, and Sharpen, InvertImg or ToSepia raise an error. ImageCompression, HueSaturationValue,
#   CLAHE, Equalize, AutoContrast, Downscale, Posterize and Superpixels take the numbers for floats between 0 and 1, clip them
#   and give float32: the picture is white, with p=0.5 in half of the epochs. Nothing warns.
# Seen: "HorizontalFlip: uint16, 0% of the numbers are 31999.50", "ImageCompression: float32, 97% of the numbers are 1.00",
#   "HueSaturationValue: float32, 99% ... 1.00", "Posterize: float32, 100% ... 0.94", "Sharpen: KeyError"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 albumentationsx==2.5.1 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import sys, warnings
import albumentations as A
import cv2
import numpy as np

warnings.simplefilter("error")
ramp = np.linspace(4000, 60000, 64 * 64).reshape(64, 64).astype(np.uint16)
cv2.imwrite(sys.argv[1] + "/picture.png", np.dstack([ramp, ramp[::-1], ramp.T]))
picture = cv2.imread(sys.argv[1] + "/picture.png", cv2.IMREAD_UNCHANGED)
assert picture.dtype == np.uint16 and picture.min() == 4000
WHITE = (A.ImageCompression, A.HueSaturationValue, A.CLAHE, A.Equalize, A.AutoContrast, A.Downscale, A.Posterize, A.Superpixels)
for kind in (A.HorizontalFlip, A.GaussianBlur, *WHITE):
    changed = A.Compose([kind(p=1)], seed=1)(image=picture)["image"]
    middle = np.median(changed)
    flat = (abs(changed - middle) < 0.02).mean()
    print(f"{kind.__name__}: {changed.dtype}, {flat:.0%} of the numbers are {middle:.2f}")
    if kind in WHITE:
        assert changed.dtype == np.float32 and 0.9 < middle <= 1 and flat > 0.95
    else:
        assert changed.dtype == np.uint16 and 20_000 < middle < 40_000 and flat < 0.01
for kind in (A.Sharpen, A.InvertImg, A.ToSepia):
    try:
        A.Compose([kind(p=1)], seed=1)(image=picture)
        raise SystemExit(f"{kind.__name__} takes it")
    except Exception as error:
        print(f"{kind.__name__}: {type(error).__name__}")
PY
NO_ALBUMENTATIONS_UPDATE=1 "$folder/venv/bin/python" "$folder/run.py" "$folder"
