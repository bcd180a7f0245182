#!/usr/bin/env bash
# A JPEG that was opened and edited in place (thumbnail, paste, drawing) is saved as JPEG XL without the edits.
#
# Versions: pillow-jxl-plugin 1.3.8, pillow 12.3.0; Python 3.11
# Behaviour: faces are painted over, or pictures made small, and saved with save("picture.jxl"). For a picture that came from
#   a JPEG file the plugin reads the file anew and recodes that, without loss; Image.thumbnail and ImageDraw work in place, so
#   the picture in memory is not asked. Size, faces and quality= are those of the JPEG. Its warning, once per program, speaks of a
#   lossless image, not of edits. PNG and WebP of the same picture have the edits, and lossless_jpeg=False keeps them.
# Seen: "thumbnail: {'WEBP': (64, 48), 'PNG': (64, 48), 'JXL': (640, 480)}", "painted over: {'WEBP': 0, 'PNG': 0, 'JXL': 255}",
#   "lossless_jpeg=False: (64, 48)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow-jxl-plugin==1.3.8 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import sys, warnings

import pillow_jxl
from PIL import Image, ImageDraw

warnings.simplefilter("ignore", UserWarning)
folder = sys.argv[1]
Image.new("RGB", (640, 480), "white").save(folder + "/white.jpg")


def saved(edit, kind, **options):
    with Image.open(folder + "/white.jpg") as picture:
        edit(picture)
        picture.save(f"{folder}/edited.{kind.lower()}", kind, **options)
    with Image.open(f"{folder}/edited.{kind.lower()}") as picture:
        return picture.convert("L")


def small(picture):
    picture.thumbnail((64, 64))


def hide(picture):
    ImageDraw.Draw(picture).rectangle((200, 100, 440, 340), "black")


sizes = {kind: saved(small, kind).size for kind in ("WEBP", "PNG", "JXL")}
print("thumbnail:", sizes)
assert sizes == {"WEBP": (64, 48), "PNG": (64, 48), "JXL": (640, 480)}
middles = {kind: saved(hide, kind).getpixel((320, 220)) for kind in ("WEBP", "PNG", "JXL")}
print("painted over:", middles)
assert middles == {"WEBP": 0, "PNG": 0, "JXL": 255}
assert saved(hide, "JXL", quality=50).getpixel((320, 220)) == saved(hide, "JXL", lossless=True).getpixel((320, 220)) == 255
assert saved(hide, "JXL", lossless_jpeg=False).getpixel((320, 220)) < 5
print("lossless_jpeg=False:", saved(small, "JXL", lossless_jpeg=False).size)
assert saved(small, "JXL", lossless_jpeg=False).size == (64, 48)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
