#!/usr/bin/env bash
# In piq the SR-SIM of two pictures depends on the others in their batch: 0.75 alone is 0.88 beside a black one.
#
# Versions: piq 0.8.0, torch 2.14.1; Python 3.11
# Behaviour: srsim is documented as "for a batch of images", with reduction over samples. Its saliency maps are divided by the
#   range of the whole batch, not of each picture: scores of reduction="none" change by up to 0.13 with what stands beside a
#   picture, two pictures change places, and scores of runs with another batch size or a last batch that is shorter do not
#   compare. SRSIMLoss trains on them. SSIM, MS-SSIM, VIF, FSIM, GMSD, VSI, HaarPSI, MDSI, DSS and PSNR of piq are the same
#   alone and in a batch.
# Seen: "alone [0.95, 0.868, 0.749, 0.803, 0.644, 0.664, 0.602, 0.52]", "in one batch [0.976, 0.92, 0.861, 0.803, 0.743, 0.705, 0.651,
#   0.596]", "beside a black one [0.981, 0.93, 0.875, 0.801, 0.755, 0.715, 0.666, 0.614]", "the third is better than the fourth: alone
#   False, in one batch True", "largest change: srsim 0.1125, ssim 0.0000, multi_scale_ssim 0.0000, ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 piq==0.8.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import warnings

import piq
import torch

warnings.simplefilter("ignore")
OTHERS = "ssim multi_scale_ssim vif_p fsim gmsd vsi haarpsi mdsi dss psnr".split()
small = torch.stack([torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(number)) for number in range(8)])
pictures = torch.nn.functional.interpolate(small, (256, 256), mode="bicubic").clamp(0, 1)
noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(5)) * torch.linspace(0.02, 0.2, 8).view(-1, 1, 1, 1)
noisy = (pictures + noise).clamp(0, 1)
black = torch.zeros(1, 3, 256, 256)


def alone(metric):
    return torch.cat([metric(pictures[i : i + 1], noisy[i : i + 1], reduction="none") for i in range(8)])


def beside(metric, other):
    """The score of each picture in a batch of two, with another picture that has no noise at all."""
    pairs = ((torch.cat([pictures[i : i + 1], other]), torch.cat([noisy[i : i + 1], other])) for i in range(8))
    return torch.stack([metric(*pair, reduction="none")[0] for pair in pairs])


def shown(scores):
    return [round(score, 3) for score in scores.tolist()]


single, batch, dark = alone(piq.srsim), piq.srsim(pictures, noisy, reduction="none"), beside(piq.srsim, black)
print("alone", shown(single))
print("in one batch", shown(batch))
print("beside a black one", shown(dark))
better = bool(single[2] > single[3]), bool(batch[2] > batch[3])
print(f"the third is better than the fourth: alone {better[0]}, in one batch {better[1]}")
change = {name: (alone(getattr(piq, name)) - getattr(piq, name)(pictures, noisy, reduction="none")).abs().max().item()
          for name in ("srsim", *OTHERS)}
print("largest change:", ", ".join(f"{name} {value:.4f}" for name, value in change.items()))
assert (dark - single).abs().max() > 0.1 and change["srsim"] > 0.1 and better == (False, True)
assert all(change[name] < 1e-4 for name in OTHERS)
PY
"$folder/venv/bin/python" "$folder/run.py"
