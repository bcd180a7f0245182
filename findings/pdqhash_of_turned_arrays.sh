#!/usr/bin/env bash
# pdqhash gives a picture turned by np.rot90, or one whose array is transposed, a hash that has nothing to do with it: 132 of 256 bits.
#
# Versions: pdqhash 0.2.8, numpy 2.4.6, pillow 12.3.0; Python 3.11
# Behaviour: where an array's height lies closer in memory than its width, its bytes are read as if it did not. The same numbers after
#   np.ascontiguousarray give another hash, at full quality both. np.rot90, a transposed array, and Fortran's order are such; slices and
#   moveaxis from channels first are read rightly. A copy has 0 bits, other pictures 128, so that a duplicate is never found.
# Seen: "np.rot90: 132 bits from the same numbers in order, quality 100 and 100", "transposed: 146 ...", "Fortran's order: 128 ...",
#   "every second pixel: 0 ...", "moved axis: 0 ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pdqhash==0.2.8 numpy==2.4.6 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import numpy as np
import pdqhash
from PIL import Image

noise = (np.random.default_rng(1).random((8, 8, 3)) * 255).astype("u1")
picture = np.asarray(Image.fromarray(noise).resize((256, 200), Image.Resampling.BICUBIC))
cases = {
    "as it is": picture,
    "np.rot90": np.rot90(picture),
    "transposed": picture.transpose(1, 0, 2),
    "Fortran's order": np.asfortranarray(picture),
    "every second pixel": picture[::2, ::2],
    "upside down": picture[::-1],
    "moved axis": np.moveaxis(np.ascontiguousarray(np.moveaxis(picture, -1, 0)), 0, -1),
}
bits = {}
for name, array in cases.items():
    copy = np.ascontiguousarray(array)
    assert (copy == array).all()
    (found, quality), (expected, other) = pdqhash.compute(array), pdqhash.compute(copy)
    bits[name] = int((found != expected).sum())
    print(f"{name}: {bits[name]} bits from the same numbers in order, quality {quality} and {other}")
for name, different in bits.items():
    if name in ("np.rot90", "transposed", "Fortran's order"):
        assert different > 80, name
    else:
        assert different == 0, name
PY
"$folder/venv/bin/python" "$folder/run.py"
