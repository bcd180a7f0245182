#!/usr/bin/env bash
# A picture that Dataset.map() changes in place is not changed: the path of its file is stored instead.
#
# Versions: datasets 5.2.0, pillow 12.3.0; Python 3.11
# Behaviour: a picture of an image folder is handed to the function as a PIL image that still has its file name, and a PIL
#   image with a file name is stored as that path, whatever its pixels are. thumbnail(), paste() and drawing work in place
#   and keep the name: the result of map() has the pictures of before, at full size. resize() returns a new image without
#   a name, and is stored. Nothing warns.
# Seen: "thumbnail (64, 43) in the function, (300, 200) in the result", "paste ... pixel [10, 20, 30]", "resize (64, 43)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import os, pathlib, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets
from PIL import Image

datasets.disable_progress_bars()
root = pathlib.Path(sys.argv[1])
(root / "pictures").mkdir()
Image.new("RGB", (300, 200), (10, 20, 30)).save(root / "pictures" / "a.png")
rows = datasets.load_dataset("imagefolder", data_dir=str(root / "pictures"), split="train", cache_dir=str(root / "cache"))
within = []


def thumbnail(row):
    row["image"].thumbnail((64, 64))
    within.append(row["image"].size)
    return row


def paste(row):
    row["image"].paste((0, 0, 0), (0, 0, 300, 200))
    return row


small = rows.map(thumbnail)[0]["image"].size
pixel = list(rows.map(paste)[0]["image"].getpixel((5, 5)))
resized = rows.map(lambda row: {"image": row["image"].resize((64, 43))})[0]["image"].size
print(f"thumbnail {within[0]} in the function, {small} in the result")
print(f"paste of black: pixel {pixel}")
print(f"resize {resized}")
assert within[0] == (64, 43) and small == (300, 200) and pixel == [10, 20, 30] and resized == (64, 43)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
