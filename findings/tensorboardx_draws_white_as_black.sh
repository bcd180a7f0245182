#!/usr/bin/env bash
# tensorboardX draws a pixel of 1.004 as black and one of -0.1 as nearly white; torch's own SummaryWriter clips both.
#
# Versions: tensorboardX 2.6.5, tensorboard 2.21.0; Python 3.11
# Behaviour: pictures that a decoder or an interpolation gives go a little above 1 and below 0. add_image and add_images
#   multiply floats by 255 and keep the lowest eight bits: the brightest places become black spots, and the darkest white.
#   torch.utils.tensorboard has the same signature and clips. The docs ask for values in [0, 1] for floats; nothing warns.
# Seen: "1.0 -> 255", "1.003 -> 255", "1.004 -> 0", "1.1 -> 24", "-0.01 -> 254", "-0.1 -> 231"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboardX==2.6.5 tensorboard==2.21.0 pillow==12.3.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import io, sys, warnings
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

warnings.simplefilter("error", RuntimeWarning)
VALUES = {1.0: 255, 1.003: 255, 1.004: 0, 1.1: 24, -0.01: 254, -0.1: 231}
writer = SummaryWriter(sys.argv[1])
for step, value in enumerate(VALUES):
    writer.add_image("one", np.full((3, 8, 8), value, np.float32), step)
    writer.add_images("batch", np.full((1, 3, 8, 8), value, np.float32), step)
writer.close()
events = EventAccumulator(sys.argv[1], size_guidance={"images": 0}).Reload()
for tag in ("one", "batch"):
    for (value, expected), event in zip(VALUES.items(), events.Images(tag), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        print(f"{tag}: {value} -> {pixels.min()}")
        assert pixels.min() == pixels.max() and abs(int(pixels.min()) - expected) <= 1
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder/logs"
