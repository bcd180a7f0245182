#!/usr/bin/env bash
# One infinite loss in a float column makes a Deep Lake data set unreadable, with all rows committed before it.
#
# Versions: deeplake 4.7.4; Python 3.11
# Behaviour: 1,000 losses are committed and read, then one that is infinite is appended, as half precision gives it. commit()
#   raises "Failed to parse JSON", and from then on so does each open, read-only too: what was stored before is lost to the reader.
#   NaN is stored and read; infinity in an array or an embedding too. One expects the value, or an error that leaves the rest.
# Seen: "infinity in float32: commit: RuntimeError: Failed to parse JSON; open: RuntimeError: ...; open_read_only: RuntimeError: ...",
#   "NaN in float32: commit: done; open: 1001; open_read_only: 1001", "infinity in an array: commit: done; open: 1001; ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deeplake==4.7.4 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math, sys

import deeplake
import numpy as np


def stored(name, kind, losses, last):
    """What committing and opening say, once ``losses`` are committed and ``last`` is appended."""
    path = f"file://{sys.argv[1]}/{name}"
    data = deeplake.create(path)
    data.add_column("loss", kind)
    data.append({"loss": losses})
    data.commit()
    assert len(deeplake.open_read_only(path)) == 1000
    data.append({"loss": last})
    said = []
    for what, do in {"commit": data.commit, "open": lambda: deeplake.open(path),
                     "open_read_only": lambda: deeplake.open_read_only(path)}.items():
        try:
            found = do()
            said.append(f"{what}: {len(found) if found is not None else 'done'}")
        except RuntimeError as error:
            said.append(f"{what}: RuntimeError: {error}")
    print(f"{name}: {'; '.join(said)}")
    return said


numbers = np.linspace(0, 1, 1000)
BROKEN = [f"{what}: RuntimeError: Failed to parse JSON" for what in ("commit", "open", "open_read_only")]
FINE = ["commit: done", "open: 1001", "open_read_only: 1001"]
for name, kind in (("float32", deeplake.types.Float32()), ("float64", deeplake.types.Float64())):
    assert stored(f"infinity in {name}", kind, numbers, np.array([math.inf])) == BROKEN
    assert stored(f"minus infinity in {name}", kind, numbers, np.array([-math.inf])) == BROKEN
    assert stored(f"NaN in {name}", kind, numbers, np.array([math.nan])) == FINE
arrays = deeplake.types.Array("float32", 1)
assert stored("infinity in an array", arrays, [np.ones(2, "f4")] * 1000, [np.array([1, math.inf], "f4")]) == FINE
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
