#!/usr/bin/env bash
# LitData reads each one-dimensional tensor with the first sample's type: float64 and int64 after float32 become other numbers.
#
# Versions: litdata 0.2.76, torch 2.13.0; Python 3.11
# Behaviour: losses of a sample, (1, 2), in float32, then float64, then int64. Tensors and arrays of one dimension are stored
#   as bytes without a header, and their type once for the whole data set: of two numbers four are read, and wrong ones.
#   Those of two dimensions keep their own type. optimize() says nothing; one expects the values, or an error.
# Seen: "{'tensor': [1.0, 2.0], ...", "{'tensor': [0.0, 1.875, 0.0, 2.0], ... 'two dimensions': [[1.0, 2.0]]}",
#   "{'tensor': [1.401298464324817e-45, 0.0, 2.802596928649634e-45, 0.0], ... 'two dimensions': [[1, 2]]}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 torchvision==0.28.0 litdata==0.2.76 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import sys

import numpy, torch
from litdata import StreamingDataset, optimize


def sample(i):
    values = torch.tensor([1, 2], dtype=(torch.float32, torch.float64, torch.int64)[i])
    return {"tensor": values, "array": values.numpy(), "two dimensions": values[None]}


if __name__ == "__main__":
    optimize(sample, [0, 1, 2], sys.argv[1] + "/data", num_workers=1, chunk_size=10)
    rows = list(StreamingDataset(sys.argv[1] + "/data"))
    for row in rows:
        print({name: numpy.asarray(values).tolist() for name, values in row.items()})
    assert all(row["two dimensions"].tolist() == [[1, 2]] for row in rows)
    assert [len(row[name]) for row in rows for name in ("tensor", "array")] == [2, 2, 4, 4, 4, 4]
    assert rows[1]["tensor"].tolist() == [0.0, 1.875, 0.0, 2.0] and 0 < rows[2]["tensor"][0] < 1e-40
PY
LITDATA_DISABLE_VERSION_CHECK=1 "$folder/venv/bin/python" "$folder/run.py" "$folder"
