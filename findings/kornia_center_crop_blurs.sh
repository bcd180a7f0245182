#!/usr/bin/env bash
# kornia's center_crop blurs a picture where size and crop are not both odd or both even: a crop of 511 from 512 has no fine lines.
#
# Versions: kornia 0.9.0, torch 2.13.0; Python 3.11
# Behaviour: the crop begins at (size - crop) / 2, which is half a pixel, and the default mode "bilinear" takes the mean of the two
#   pixels (of four where both sides differ). Lines of one pixel, black and white, become one grey; sharp grain loses half of its
#   spread. The docs call it "crop the 2D images from the center" and show a crop of 2 from 4. K.CenterCrop(511) takes whole pixels.
# Seen: "512 -> 510: lines 0.00 to 1.00, spread of noise 0.29", "512 -> 511: lines 0.50 to 0.50, spread of noise 0.14",
#   "512 -> 511, K.CenterCrop: lines 0.00 to 1.00, spread of noise 0.29"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kornia==0.9.0 torch==2.13.0
cat > "$folder/run.py" <<'PY'
import torch
from kornia.augmentation import CenterCrop
from kornia.geometry.transform import center_crop

lines = (torch.arange(512) % 2).float().repeat(512, 1)[None, None]
noise = torch.rand(1, 1, 512, 512, generator=torch.Generator().manual_seed(0))
seen = {}
for name, crop in (
    ("512 -> 510", lambda picture: center_crop(picture, (510, 510))),
    ("512 -> 511", lambda picture: center_crop(picture, (511, 511))),
    ("512 -> 511, K.CenterCrop", CenterCrop(511)),
):
    drawn = crop(lines)
    seen[name] = drawn.min().item(), drawn.max().item(), crop(noise).std().item()
    print("{}: lines {:.2f} to {:.2f}, spread of noise {:.2f}".format(name, *seen[name]))
least, most, spread = seen.pop("512 -> 511")
assert 0.49 < least <= most < 0.51
assert spread < 0.16
for least, most, spread in seen.values():
    assert least < 0.01
    assert most > 0.99
    assert spread > 0.28
PY
"$folder/venv/bin/python" "$folder/run.py"
