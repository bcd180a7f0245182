#!/usr/bin/env bash
# MosaicML's streaming stores arrays of the other byte order as they are, and reads other numbers from them.
#
# Versions: mosaicml-streaming 0.13.0, torch 2.14.1; Python 3.11
# Behaviour: arrays that come from FITS, IDX or netCDF files, from many TIFFs or from np.load are big-endian. A column "ndarray"
#   takes them, and stores the name of their type, which is that of the usual order, and their bytes as they lie. 1.0 comes back as
#   4.6e-41, an id of 1 as 72,057,594,037,927,936, and nothing is said. One expects the values, as .npy has them, or an error:
#   a column "ndarray:float32" raises one, "expected float32, got float32".
# Seen: "float32: [1.0, 2.0, 3.0] -> [4.600602988224807e-41, 8.96831017167883e-44, 2.304855714121459e-41]",
#   "int64: [1, 2, 3] -> [72057594037927936, ...", "ndarray:float32: ValueError: Wrong dtype: expected float32, got float32."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    mosaicml-streaming==0.13.0 torch==2.14.1 torchvision==0.29.1 numpy==2.1.3
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
from streaming import MDSWriter, StreamingDataset

PLAIN = {"float32": np.array([1, 2, 3], "f4"), "int64": np.array([1, 2, 3], "i8"), "uint16": np.array([256, 512, 768], "u2")}


def read(column, array):
    path = f"{sys.argv[1]}/{column.replace(':', ' ')} {array.dtype.str[1:]} {array.dtype.byteorder}"
    with MDSWriter(out=path, columns={"values": column}) as writer:
        writer.write({"values": array})
    return StreamingDataset(local=path, batch_size=1)[0]["values"]


for name, array in PLAIN.items():
    other = array.astype(array.dtype.newbyteorder())
    assert np.array_equal(other, array) and other.dtype == np.dtype(other.dtype.str) and other.dtype.name == array.dtype.name
    found = read("ndarray", other)
    print(f"{name}: {other.tolist()} -> {found.tolist()}")
    assert np.array_equal(read("ndarray", array), array) and np.array_equal(found, array.byteswap())
    try:
        read(f"ndarray:{name}", other)
        raise AssertionError(name)
    except ValueError as error:
        print(f"ndarray:{name}: ValueError: {error}")
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
