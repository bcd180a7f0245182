#!/usr/bin/env bash
# cleanvision judges a picture with a palette by its colours' numbers: white GIFs and photos of 64 colours are dark.
#
# Versions: cleanvision 0.3.7, pillow 12.3.0; Python 3.11
# Behaviour: GIFs and small PNGs hold for each pixel the number of a colour in a palette. cleanvision takes the numbers for
#   greys: with 64 colours or fewer all are below 64, so each picture is "dark", also one that is white. Grey pictures of 16
#   bits are "light", with scores of -78 and 224 where its guide has 0 to 1. Nothing is said, and who deletes what is dark
#   deletes the GIFs. One expects for the same pixels the same answer.
# Seen: "white.png: light, low_information; dark 1.000, light 0.000", "white.gif: dark, low_information; dark 0.004, light 1.000",
#   "photo.png: fine; dark 0.879, light 0.691", "photo 64 colours.png: dark; dark 0.243, light 0.988",
#   "grey.png: fine; dark 0.871, light 0.694", "grey 16 bits.png: light; dark 223.741, light -77.612"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    cleanvision==0.3.7 pillow==12.3.0 datasets==5.2.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import os, sys

import numpy as np
from cleanvision import Imagelab
from PIL import Image

folder = sys.argv[1] + "/pictures"
os.mkdir(folder)
noise = np.random.default_rng(0)
soft = Image.fromarray(noise.integers(0, 256, (6, 6, 3), dtype="u1")).resize((256, 256), Image.Resampling.BICUBIC)
sharp = Image.fromarray((np.asarray(soft, "f4") * 0.9 + noise.uniform(0, 25, (256, 256, 1))).astype("u1"))
grey = np.asarray(sharp.convert("L"))
white = Image.new("RGB", (256, 256), "white")
white.paste("black", (100, 100, 140, 140))
PICTURES = {
    "white.png": white, "white palette.png": white.quantize(2), "white.gif": white,
    "photo.png": sharp, "photo 16 colours.png": sharp.quantize(16), "photo 64 colours.png": sharp.quantize(64),
    "grey.png": Image.fromarray(grey), "grey 16 bits.png": Image.fromarray(grey.astype("u2") * 257),
}
for name, picture in PICTURES.items():
    picture.save(f"{folder}/{name}")
lab = Imagelab(data_path=folder)
lab.find_issues({name: {} for name in ("dark", "light", "low_information")}, n_jobs=1, verbose=False)
found = {}
for path, row in lab.issues.iterrows():
    name = os.path.basename(path)
    found[name] = {issue for issue in ("dark", "light", "low_information") if row[f"is_{issue}_issue"]}
    print(f"{name}: {', '.join(sorted(found[name])) or 'fine'}; dark {row.dark_score:.3f}, light {row.light_score:.3f}")
assert found["photo.png"] == found["grey.png"] == set()
assert found["photo 16 colours.png"] == found["photo 64 colours.png"] == {"dark"}
assert "light" in found["white.png"] and "dark" in found["white.gif"] & found["white palette.png"]
assert found["grey 16 bits.png"] == {"light"}
assert lab.issues["light_score"].min() < -10 and lab.issues["dark_score"].max() > 100
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
