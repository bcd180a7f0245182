#!/usr/bin/env bash
# rapidfuzz' cdist gives a missing caption (None or NaN) the scores of the batch before: 100 for a caption that is not there.
#
# Versions: rapidfuzz 3.14.6, numpy 2.4.6, pandas 3.1.1; Python 3.11
# Behaviour: cdist skips missing captions, and never writes their row of the matrix, which begins as unset memory. Its own fallback in
#   Python gives zeros, as do cpdist, cdist of a list with itself, and a missing choice; extract skips None, and the scorers give
#   0 for it. What a row holds depends on what was freed before: in a loop over batches, the row of the last batch, where a search
#   for duplicates finds one for each missing caption; elsewhere any number, such as 15,367,930,000.
# Seen: "missing captions with a score above 90, as the fallback in Python says: 0 of 50", "as cdist says, batch by batch: 25, 25, 25,
#   25, 25"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rapidfuzz==3.14.6 numpy==2.4.6 pandas==3.1.1
cat > "$folder/run.py" <<'PY'
import pandas as pd
from rapidfuzz import fuzz, process, process_py

KNOWN = [f"a cat beside {number} dogs" for number in range(100)]
FULL = pd.Series(KNOWN, dtype="str")
HALF = pd.Series([caption if number % 2 else None for number, caption in enumerate(KNOWN)], dtype="str")


def duplicates(cdist, captions):
    """How many of the missing captions have a score above 90 with one of 50 known ones."""
    matrix = cdist(captions, KNOWN[:50], scorer=fuzz.ratio)
    return int((matrix.max(axis=1) > 90)[captions.isna()].sum())


expected = duplicates(process_py.cdist, HALF)
print(f"missing captions with a score above 90, as the fallback in Python says: {expected} of 50")
found = []
for _ in range(5):
    duplicates(process.cdist, FULL)
    found.append(duplicates(process.cdist, HALF))
print(f"as cdist says, batch by batch: {', '.join(map(str, found))}")
assert expected == 0
assert max(found) > 5
assert fuzz.ratio(None, "a cat") == process.cpdist([None], ["a cat"])[0] == 0
PY
"$folder/venv/bin/python" "$folder/run.py"
