#!/usr/bin/env bash
# The mean of 4,000 bfloat16 losses of 3.0 is 4.0 in torch's index_reduce and 0.26 in segment_reduce; histc counts 256.
#
# Versions: torch 2.13.0; Python 3.11
# Behaviour: a mean per timestep, or per data set. scatter_reduce sums in float32. index_reduce keeps sum and count in the
#   losses' own type, where both stop growing: the mean of equal numbers is another number. segment_reduce divides a sum
#   that has stopped at 1,024 by the true count. histc adds one to a number of that type: a bin (of one thread) never holds
#   more than 256, in float16 2,048. All on the CPU; nothing warns, their pages do not say it.
# Seen: "float32: scatter_reduce 3, index_reduce 3, segment_reduce 3, histc 4000", "float16: scatter_reduce 3,
#   index_reduce 4, segment_reduce 2.05, histc 2048", "bfloat16: scatter_reduce 3.02, index_reduce 4, segment_reduce 0.26,
#   histc 256"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import warnings

import torch

warnings.simplefilter("ignore")
torch.set_num_threads(1)
seen = {}
for kind in (torch.float32, torch.float16, torch.bfloat16):
    losses = torch.full((4000,), 3.0, dtype=kind)
    one_bucket, empty = torch.zeros(4000, dtype=torch.long), torch.zeros(1, dtype=kind)
    seen[kind] = {
        "scatter_reduce": empty.scatter_reduce(0, one_bucket, losses, "mean", include_self=False).item(),
        "index_reduce": empty.index_reduce(0, one_bucket, losses, "mean", include_self=False).item(),
        "segment_reduce": torch.segment_reduce(losses, "mean", lengths=torch.tensor([4000])).item(),
        "histc": torch.histc(losses, bins=2, min=0, max=4)[1].item(),
    }
    print(str(kind)[6:] + ":", ", ".join(f"{name} {round(value, 2):g}" for name, value in seen[kind].items()))
half, brain = seen[torch.float16], seen[torch.bfloat16]
assert list(seen[torch.float32].values()) == [3, 3, 3, 4000]
assert half["scatter_reduce"] == 3 and abs(brain["scatter_reduce"] - 3) < 0.02
assert half["histc"] == 2048
assert half["index_reduce"] == brain["index_reduce"] == 4
assert 2 < half["segment_reduce"] < 2.1 and 0.2 < brain["segment_reduce"] < 0.3 and brain["histc"] == 256
PY
"$folder/venv/bin/python" "$folder/run.py"
