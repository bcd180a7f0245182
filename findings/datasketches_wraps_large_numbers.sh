#!/usr/bin/env bash
# datasketches' sketches of integers take an array's numbers modulo 2 to the 32: of files of 3 GB the median is -1,294,967,296 bytes.
#
# Versions: datasketches 5.2.0, numpy 2.4.6; Python 3.11
# Behaviour: kll_ints_sketch, req_ints_sketch and quantiles_ints_sketch hold 32 bits. update(3_000_000_000) raises a TypeError, and update of a
#   NumPy array of int64 with the same number wraps it, without a word. Sizes of shards, ids, numbers of tokens seen and timestamps
#   in milliseconds are larger. An array of floats is cut to whole numbers likewise, 2.9 to 2, where a single 2.9 raises.
# Seen: "kll_ints_sketch: one number TypeError, median of 1,000 in an array -1294967296, of [1.7, 2.9] the largest is 2", ...
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasketches==5.2.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import datasketches
import numpy as np

SIZE = 3_000_000_000
for sketch in (datasketches.kll_ints_sketch, lambda: datasketches.req_ints_sketch(12), datasketches.quantiles_ints_sketch):
    large, small = sketch(), sketch()
    for number in (SIZE, 2.9):
        try:
            large.update(number)
        except TypeError:
            continue
        raise AssertionError(number)
    large.update(np.full(1000, SIZE))
    small.update(np.array([1.7, 2.9]))
    median, largest = large.get_quantile(0.5), small.get_quantile(1)
    print(f"{type(large).__name__}: one number TypeError, median of 1,000 in an array {median}, of [1.7, 2.9] the largest is {largest}")
    assert median == SIZE - 2**32
    assert largest == 2
PY
"$folder/venv/bin/python" "$folder/run.py"
