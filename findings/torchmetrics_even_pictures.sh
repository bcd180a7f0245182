#!/usr/bin/env bash
# In torchmetrics one even picture among perfect copies makes VIF and SSIM NaN, UQI and SCC less than 1, and one black pixel SAM NaN.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0; Python 3.11
# Behaviour: all divide by a spread or a length that is 0 there; UQI adds an epsilon below only, SAM nothing. The means are over the
#   whole epoch: one even picture or one black pixel makes all NaN. SSIM has constants for it, which are 0 as well where data_range is
#   left at its default and the batch is one even picture. The value of equal pictures is 1 elsewhere; the pages name no exception.
# Seen: of ten pictures against themselves, one of which is even: "SSIM 1.0 with data_range, nan without; UQI 0.9, SCC 0.9, VIF nan",
#   spectral angle of 10 pictures: "0.029, with one black pixel nan"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math

import torch
from torchmetrics import image

pictures = torch.rand(10, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
pictures[0] = 0.5
seen = {}
metrics = {
    "SSIM": image.StructuralSimilarityIndexMeasure(data_range=1.0),
    "SSIM without data_range": image.StructuralSimilarityIndexMeasure(),
    "UQI": image.UniversalImageQualityIndex(),
    "SCC": image.SpatialCorrelationCoefficient(),
    "VIF": image.VisualInformationFidelity(),
}
for name, metric in metrics.items():
    for picture in pictures.split(1):
        metric.update(picture, picture.clone())
    seen[name] = metric.compute().item()
    print(f"{name} {seen[name]:.3f}")
ssim, ssim_alone, uqi, scc, vif = seen.values()
assert ssim > 0.999 and math.isnan(ssim_alone) and 0.89 < uqi < 0.91 and 0.89 < scc < 0.91 and math.isnan(vif)


def angle(targets):
    """The mean spectral angle of ten pictures, one by one, with a little noise."""
    metric = image.SpectralAngleMapper()
    for place, target in enumerate(targets.split(1)):
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(place))
        metric.update(target + 0.02 * noise, target)
    return metric.compute().item()


black = pictures.clone()
black[3, :, 0, 0] = 0
print(f"SpectralAngleMapper {angle(pictures):.3f}, with a black pixel {angle(black):.3f}")
assert 0 < angle(pictures) < 0.1 and math.isnan(angle(black))
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
