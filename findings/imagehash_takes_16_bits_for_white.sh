#!/usr/bin/env bash
# imagehash finds all grey pictures of 16 bits to be copies of each other, and all black drawings on a transparent ground.
#
# Versions: imagehash 4.3.2, pillow 12.3.0; Python 3.11
# Behaviour: each hash begins with convert("L"). Pillow cuts off what is above 255, so that a PNG of 16 bits (depth, scans,
#   X-rays) is white unless it is nearly black, and drops the alpha channel, so that a logo, an icon or a sticker is what lies
#   beneath its transparent part, mostly black. Two photographs in 16 bits, and two different logos, are 0 bits apart in
#   phash, dhash, average_hash and whash; as 8 bits, and on white, they are far from each other. Whoever removes duplicates
#   keeps one of each kind. Nothing warns.
# Seen: "phash: 16 bits 0, as 8 bits 28, transparent 0, on white 34", the others: 0, 16 to 34, 0, 28 to 33
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imagehash==4.3.2 pillow==12.3.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import sys, warnings
import imagehash
import numpy as np
from PIL import Image, ImageDraw

warnings.simplefilter("error")


def scene(seed):
    """Soft shapes in all the values of 16 bits but the lowest."""
    waves = np.random.default_rng(seed).uniform(1, 9, (6, 2))
    y, x = np.mgrid[0:1:128j, 0:1:128j]
    values = sum(np.sin(a * x * 6 + seed) + np.cos(b * y * 6) for a, b in waves)
    return (2000 + 60_000 * (values - values.min()) / np.ptp(values)).astype(np.uint16)


def logo(draw):
    picture = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    draw(ImageDraw.Draw(picture))
    return picture


def saved(name, picture):
    picture.save(f"{sys.argv[1]}/{name}.png")
    return Image.open(f"{sys.argv[1]}/{name}.png")


deep = [saved(f"deep{seed}", Image.fromarray(scene(seed))) for seed in (1, 2)]
flat = [Image.fromarray((scene(seed) // 256).astype(np.uint8)) for seed in (1, 2)]
logos = [saved("disc", logo(lambda draw: draw.ellipse((10, 10, 90, 90), fill="black"))),
         saved("bar", logo(lambda draw: draw.rectangle((5, 70, 123, 100), fill="black")))]
white = [Image.alpha_composite(Image.new("RGBA", each.size, "white"), each) for each in logos]
assert deep[0].mode == "I;16" and logos[0].mode == "RGBA"
for name in ("phash", "dhash", "average_hash", "whash"):
    hashed = getattr(imagehash, name)
    apart = {kind: int(hashed(one) - hashed(other)) for kind, (one, other) in
             {"16 bits": deep, "as 8 bits": flat, "transparent": logos, "on white": white}.items()}
    print(f"{name}:", ", ".join(f"{kind} {bits}" for kind, bits in apart.items()))
    assert apart["16 bits"] == apart["transparent"] == 0 and apart["as 8 bits"] > 10 and apart["on white"] > 10
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
