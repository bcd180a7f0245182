#!/usr/bin/env bash
# torchmetrics' mean absolute error of two pictures of 8 bits is 122 where they differ by 5: bytes are subtracted as bytes.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0; Python 3.11
# Behaviour: MeanAbsoluteError subtracts uint8 tensors before it makes floats of them, and -1 is 255; total variation and the errors in
#   percent do the same, and in MeanSquaredError each square is taken modulo 256. PeakSignalNoiseRatio with data_range=255 is
#   right on the same tensors, SSIM, ERGAS and the correlations raise. The documentation asks for tensors, of no dtype.
# Seen: bytes and the same as floats: "MeanAbsoluteError 122.5 5.3, TotalVariation 3027439 1399167, WeightedMeanAbsolutePercentageError
#   0.965 0.042, MeanSquaredError of a picture and a darker one 0.0 1024.0, PeakSignalNoiseRatio 32.5 32.5"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from torchmetrics.image import PeakSignalNoiseRatio, TotalVariation
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, WeightedMeanAbsolutePercentageError

generator = torch.Generator().manual_seed(0)
picture = torch.randint(40, 216, (4, 3, 32, 32), generator=generator).to(torch.uint8)
other = (picture.int() + torch.randint(-10, 11, picture.shape, generator=generator)).to(torch.uint8)


def both(metric, *pictures):
    """The metric of the bytes, and of the same numbers as floats."""
    return [metric(*kind).item() for kind in (pictures, [one.float() for one in pictures])]


seen = {
    "MeanAbsoluteError": both(MeanAbsoluteError(), other, picture),
    "TotalVariation": both(TotalVariation(), picture),
    "WeightedMeanAbsolutePercentageError": both(WeightedMeanAbsolutePercentageError(), other, picture),
    "MeanSquaredError of a darker one": both(MeanSquaredError(), picture - 32, picture),
    "PeakSignalNoiseRatio": both(PeakSignalNoiseRatio(data_range=255), other, picture),
}
for name, (bytes_, floats) in seen.items():
    print(f"{name}: bytes {bytes_:.3f}, floats {floats:.3f}")
assert seen["MeanAbsoluteError"][0] > 20 * seen["MeanAbsoluteError"][1]
assert seen["TotalVariation"][0] > 1.3 * seen["TotalVariation"][1]
assert seen["WeightedMeanAbsolutePercentageError"][0] > 20 * seen["WeightedMeanAbsolutePercentageError"][1]
assert seen["MeanSquaredError of a darker one"] == [0, 1024]
assert abs(seen["PeakSignalNoiseRatio"][0] - seen["PeakSignalNoiseRatio"][1]) < 0.001
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
