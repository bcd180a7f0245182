#!/usr/bin/env bash
# In Voyager's Float8 a picture is 0.16 away from its own copy by cosine distance (768 numbers), and less than 0 in E4M3.
#
# Versions: voyager 2.2.3; Python 3.11
# Behaviour: embeddings of length 1 have numbers of 1/sqrt(dimensions), and Float8 has steps of 1/127, rounded towards zero:
#   all become shorter, and of the inner product of a vector with itself 0.93 is left with 128 numbers, 0.84 with 768 and 0.78
#   with 1,536. The docs of StorageDataType say that the type sets memory, disk space and recall. Recall is perfect here;
#   the distances are another scale, so that a threshold of 0.05 or 0.1 for duplicates finds no exact copy at all. In E4M3
#   copies have negative distances from some hundred numbers on. Float32 gives 0.
# Seen: "768 numbers, Float32: copies are -0.000 to 0.000 away, ... below 0.1: 200 of 200", "Float8: copies are 0.144 to 0.170
#   away, ... below 0.1: 0 of 200", "1536 numbers, Float8: 0.205 to 0.229", "1536 numbers, E4M3: -0.031 to -0.013"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check voyager==2.2.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
from voyager import Index, Space, StorageDataType as Type

random = np.random.default_rng(0)
copies = {}
for numbers in (128, 768, 1536):
    pictures = random.standard_normal((200, numbers)).astype("f4")
    for kind in (Type.Float32, Type.Float8, Type.E4M3):
        index = Index(Space.Cosine, numbers, storage_data_type=kind)
        index.add_items(pictures, num_threads=1)
        found, distances = index.query(pictures, 1, num_threads=1)
        assert (found[:, 0] == np.arange(200)).all()  # each picture finds its copy
        copies[numbers, kind.name] = distances[:, 0]
        print(f"{numbers} numbers, {kind.name}: copies are {distances.min():.3f} to {distances.max():.3f} away, "
              f"below 0.05: {(distances < 0.05).sum()} of 200, below 0.1: {(distances < 0.1).sum()} of 200")
for numbers, low in ((128, 0.05), (768, 0.14), (1536, 0.19)):
    assert abs(copies[numbers, "Float32"]).max() < 1e-5
    assert copies[numbers, "Float8"].min() > low
assert copies[1536, "E4M3"].max() < -0.01
PY
"$folder/venv/bin/python" "$folder/run.py"
