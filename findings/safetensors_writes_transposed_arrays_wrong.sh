#!/usr/bin/env bash
# safetensors 0.8.0 saves a NumPy array that is transposed, strided or in Fortran's order as another one of the same shape.
#
# Versions: safetensors 0.7.0 (as given), safetensors 0.8.0 (in the order of memory); Python 3.11
# Behaviour: a picture of height, width, channels that is turned into channels, height, width by transpose() is a view of the
#   same memory. From 0.8.0 on safetensors.numpy.save and save_file write the numbers as they lie there, under the shape of
#   the view: embeddings, latents and weights come out mixed, and of every second column the first half is stored. 0.7.0
#   writes what the array shows. safetensors.torch refuses such tensors with a ValueError; here nothing is said.
#   numpy.ascontiguousarray() before it helps. It has been reported upstream.
# Seen: "0.7.0: contiguous True, transposed True, strided True, Fortran True",
#   "0.8.0: contiguous True, transposed False, strided False, Fortran False", "every second of 0 to 5: [0.0, 1.0, 2.0]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/run.py" <<'PY'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

picture = np.arange(60, dtype=np.float32).reshape(4, 5, 3)
arrays = {"contiguous": picture, "transposed": picture.transpose(2, 0, 1), "strided": np.arange(6.0)[::2],
          "Fortran": np.asfortranarray(picture)}
right = {}
for name, array in arrays.items():
    save_file({"x": array}, sys.argv[1] + "/x.safetensors")
    loaded, bytes_too = load_file(sys.argv[1] + "/x.safetensors")["x"], load(save({"x": array}))["x"]
    assert loaded.shape == array.shape and loaded.dtype == array.dtype and np.array_equal(loaded, bytes_too)
    right[name] = np.array_equal(loaded, array)
    save_file({"x": np.ascontiguousarray(array)}, sys.argv[1] + "/x.safetensors")
    assert np.array_equal(load_file(sys.argv[1] + "/x.safetensors")["x"], array)
print(f"{safetensors.__version__}:", ", ".join(f"{name} {same}" for name, same in right.items()))
if safetensors.__version__ == "0.7.0":
    assert all(right.values())
else:
    assert right == {"contiguous": True, "transposed": False, "strided": False, "Fortran": False}
    seen = load(save({"x": np.arange(6.0)[::2]}))["x"].tolist()
    print("every second of 0 to 5:", seen)
    assert seen == [0, 1, 2]
PY
for version in 0.7.0 0.8.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.4.6
    "$folder/$version/bin/python" -W error "$folder/run.py" "$folder"
done
