#!/usr/bin/env bash
# img2dataset stores photos that phones took upright on their side, and grey pictures of 16 bits as white ones.
#
# Versions: img2dataset 1.47.0, opencv-python-headless 4.11.0.86, pillow 12.3.0; Python 3.11
# Behaviour: the pixels are read without the EXIF orientation and saved without EXIF, so that no loader can turn them; with
#   skip_reencode=True pictures that need no resizing keep it, so that one data set has both. The orientation is left in
#   the table's column exif, as a text. A PNG of 16 bits is cut off at 255 for a JPEG: all but the darkest 255 levels of
#   65,536 become white, status "success".
# Seen: "keep_ratio: the photo of 64 x 128 is 64 x 32, 64 x 32 after turning by EXIF; 100% of the grey ramp are white",
#   "no: the photo of 64 x 128 is 128 x 64, 64 x 128 after turning by EXIF; 99% of the grey ramp are white" (skip_reencode)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check img2dataset==1.47.0 albumentations==1.4.24 numpy==2.2.6 \
    opencv-python-headless==4.11.0.86 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import json, os, sys
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.chdir(sys.argv[1])
import numpy as np
from PIL import Image, ImageOps


def main():
    from img2dataset import download

    photo = np.zeros((64, 128, 3), "u1")
    photo[:, 64:] = 255  # as the sensor has it; turned by 90 degrees the white half is below
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save("phone.jpg", exif=exif, quality=95)
    ramp = np.linspace(0, 65535, 128).astype("u2")[None].repeat(64, 0)
    Image.fromarray(ramp).save("grey.png")
    with open("urls.txt", "w") as file:
        file.writelines(f"file://{os.getcwd()}/{name}\n" for name in ("phone.jpg", "grey.png"))
    for resize_mode, skip in (("keep_ratio", False), ("no", True)):
        download("urls.txt", image_size=32, output_folder=resize_mode, resize_mode=resize_mode, skip_reencode=skip, thread_count=1)
    found = {}
    for folder in ("keep_ratio", "no"):
        photo, grey = (Image.open(f"{folder}/00000/00000000{i}.jpg") for i in range(2))
        found[folder] = photo.size, ImageOps.exif_transpose(photo).size, (np.asarray(grey) > 250).mean()
        status = [json.load(open(f"{folder}/00000/00000000{i}.json"))["status"] for i in range(2)]
        print(f"{folder}: the photo of 64 x 128 is {photo.width} x {photo.height}, {' x '.join(map(str, found[folder][1]))} after "
              f"turning by EXIF; {100 * found[folder][2]:.0f}% of the grey ramp are white; {status}")
    assert found["keep_ratio"][:2] == ((64, 32), (64, 32)) and found["no"][:2] == ((128, 64), (64, 128))
    assert min(white for *_, white in found.values()) > 0.95


if __name__ == "__main__":
    main()
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" > "$folder/out" 2> "$folder/err" || { cat "$folder/out" "$folder/err"; exit 1; }
grep photo "$folder/out"
