#!/usr/bin/env bash
# Since W&B 0.29.0 wandb.Image draws an array of 0 to 1 as a black picture, and one of -1 to 1 as noise of 0, 1 and 255; 0.28.2 scaled both.
#
# Versions: wandb 0.28.2 (scales), wandb 0.29.0 and 0.31.0 (cut to whole numbers), numpy 2.4.6, pillow 12.3.0; Python 3.11
# Behaviour: up to 0.28.2 (normalize=True) arrays of 0 to 1 were multiplied by 255, those of -1 to 1 moved there first. Now each value is
#   cast to 8 bits, -1 becomes 255, without a warning, in grey and in colour. The docstring now says "expected to already be in the
#   range [0, 255]", and has no word of the change. Pictures of 0 to 1 are what VAEs and torchvision give.
# Seen: "0.28.2: 0 to 1: 0 to 255, mean 127.0; -1 to 1: 0 to 255, ...", "0.29.0: 0 to 1: 0 to 1, mean 0.0; -1 to 1: 0 to 255,
#   mean ...", "0.31.0: 0 to 1: 0 to 1, ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
import wandb

ramp = np.linspace(0, 1, 64 * 64 * 3).reshape(64, 64, 3)
found = {name: np.asarray(wandb.Image(picture).image) for name, picture in (("0 to 1", ramp), ("-1 to 1", 2 * ramp - 1))}
texts = [f"{name}: {p.min()} to {p.max()}, mean {p.mean():.1f}, {len(np.unique(p))} values" for name, p in found.items()]
print(f"{wandb.__version__}: {'; '.join(texts)}")
assert (np.asarray(wandb.Image(255 * ramp).image) == (255 * ramp).astype("u1")).all()
if sys.argv[1] == "scales":
    assert all(len(np.unique(picture)) > 200 for picture in found.values())
else:
    assert found["0 to 1"].max() == 1
    assert found["0 to 1"].mean() < 0.01
    assert set(np.unique(found["-1 to 1"])) == {0, 1, 255}
PY
for version in 0.28.2:scales 0.29.0:cuts 0.31.0:cuts; do
    python3 -m venv "$folder/${version%:*}"
    "$folder/${version%:*}/bin/pip" install --quiet --disable-pip-version-check "wandb==${version%:*}" numpy==2.4.6 pillow==12.3.0
    (cd "$folder" && WANDB_MODE=offline "$folder/${version%:*}/bin/python" "$folder/run.py" "${version#*:}")
done
