#!/usr/bin/env bash
# h5py cuts a caption with a NUL off at it where the captions are NumPy's StringDType, and refuses it where they are objects.
#
# Versions: h5py 3.16.0, numpy 2.4.6; Python 3.11
# Behaviour: a NUL stands in captions that come from EXIF comments and text chunks of pictures. HDF5's strings of variable
#   length end at it, so h5py raises a ValueError for a list or an array of objects. Of StringDType, NumPy's own kind of
#   strings, which h5py writes and reads too, what follows is dropped, and nothing is said. Zarr keeps it.
# Seen: "objects: ValueError: VLEN strings do not support embedded NULLs", "list: ValueError: ...",
#   "StringDType: ['a cat', 'a dog']", "zarr: ['a cat\x00 on a mat', 'a dog']"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 zarr==3.1.6 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import sys, warnings
import h5py
import numpy as np
import zarr

warnings.simplefilter("error")
CAPTIONS = ["a cat\0 on a mat", "a dog"]
forms = {"objects": np.array(CAPTIONS, dtype=object), "list": CAPTIONS,
         "StringDType": np.array(CAPTIONS, dtype=np.dtypes.StringDType())}
assert forms["StringDType"].tolist() == CAPTIONS
for form, captions in forms.items():
    path = f"{sys.argv[1]}/{form}.h5"
    try:
        with h5py.File(path, "w") as file:
            file.create_dataset("captions", data=captions)
        with h5py.File(path) as file:
            found = file["captions"].asstr()[:].tolist()
            assert found == file["captions"].astype("T")[:].tolist() == ["a cat", "a dog"] and form == "StringDType"
        print(f"{form}: {found}")
    except ValueError as error:
        print(f"{form}: ValueError: {error}")
        assert form != "StringDType"
array = zarr.create_array(f"{sys.argv[1]}/captions.zarr", shape=2, chunks=2, dtype=str)
array[:] = forms["StringDType"]
print("zarr:", zarr.open_array(f"{sys.argv[1]}/captions.zarr")[:].tolist())
assert zarr.open_array(f"{sys.argv[1]}/captions.zarr")[:].tolist() == CAPTIONS
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
