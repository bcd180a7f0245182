#!/usr/bin/env bash
# torchmetrics' UQI of two pictures in bfloat16 is 0.10 where float32 has 0.59, and in float32 -7e18 for 16 bits with little contrast.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0; Python 3.11
# Behaviour: spreads are taken as the mean of squares minus the square of the mean, in the pictures' own dtype; what is left is rounding,
#   of either sign, and UQI has no constant against it. VIF is NaN in both half types and SSIM too good; SSIM with its default
#   data_range is -17 for the pictures of 16 bits. PSNR and the sliding RMSE are right to three digits in all. The pictures'
#   own rounding plays no part: the same bfloat16 values as float32 give the right answer. The index goes from -1 to 1.
# Seen: float64, float32, float16, bfloat16, bfloat16 values in float32: "UQI 0.592 0.592 0.216 0.100 0.591", "SSIM 0.795 0.795 0.800
#   0.852 0.794", "VIF 1.012 1.012 nan nan 1.010"; 16 bits in float64 and float32: "UQI 0.592 -7e+18, SSIM 0.628 -17.4, VIF 0.357 0.235"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math

import torch
from torchmetrics import image

generator = torch.Generator().manual_seed(0)
target = torch.nn.functional.avg_pool2d(torch.rand(4, 3, 80, 80, generator=generator), 9, 1, 4)[:, :, 8:72, 8:72]
picture = target + 0.02 * torch.randn(target.shape, generator=generator)
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def of(metric, dtype, change=lambda values: values):
    return metric(change(picture.double()).to(dtype), change(target.double()).to(dtype)).item()


def seen(name, make, wide):
    """The metric in each dtype, of bfloat16 values as float32, and of bright pictures of 16 bits."""
    values = [of(make(), dtype) for dtype in DTYPES]
    values.append(of(make(), torch.float32, lambda one: one.bfloat16()))
    bright = [of(wide(), dtype, lambda one: one * 300 + 51000) for dtype in DTYPES[:2]]
    print(name, *(f"{value:.3f}" for value in values), "16 bits:", *(f"{value:.3g}" for value in bright))
    return values, bright


ssim = image.StructuralSimilarityIndexMeasure
uqi, bright_uqi = seen("UQI", image.UniversalImageQualityIndex, image.UniversalImageQualityIndex)
structure, bright_structure = seen("SSIM", lambda: ssim(data_range=1.0), ssim)
vif, bright_vif = seen("VIF", image.VisualInformationFidelity, image.VisualInformationFidelity)
psnr, _ = seen("PSNR", lambda: image.PeakSignalNoiseRatio(data_range=1.0), lambda: image.PeakSignalNoiseRatio(data_range=65535.0))
assert uqi[0] > 0.55 and abs(uqi[4] - uqi[0]) < 0.01 and uqi[2] < 0.3 and uqi[3] < 0.2
assert structure[3] > structure[0] + 0.03 and abs(structure[4] - structure[0]) < 0.01
assert math.isnan(vif[2]) and math.isnan(vif[3]) and abs(vif[4] - vif[0]) < 0.01
assert abs(bright_uqi[0] - uqi[0]) < 0.01 and abs(bright_uqi[1]) > 1 and abs(bright_structure[1]) > 1
assert abs(bright_vif[1] - bright_vif[0]) > 0.05 and max(psnr) - min(psnr) < 0.05
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
