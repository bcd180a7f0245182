#!/usr/bin/env bash
# strsimpy's OptimalStringAlignment puts an empty caption at the distance 0 from every other one.
#
# Versions: strsimpy 0.2.1, rapidfuzz 3.14.6; Python 3.11
# Behaviour: it returns the length of the empty text in place of that of the other. README: "the number of edit operations needed to
#   make the strings equal". Levenshtein and Damerau of strsimpy, and rapidfuzz' OSA, give the other's length. Its
#   JaroWinkler is another one too: it rewards the whole common start, not 4 characters of it: of "a photo of a cat" and
#   "a photo of a dog" it is 0.98, where the paper's and rapidfuzz' is 0.93, so that captions that begin alike are duplicates.
# Seen: "'' and 'a photo of a dog': OSA 0, Levenshtein 16, Damerau 16, rapidfuzz 16", "'a photo of a cat' and 'a photo of a dog':
#   Jaro-Winkler 0.977, rapidfuzz 0.925"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check strsimpy==0.2.1 rapidfuzz==3.14.6
cat > "$folder/run.py" <<'PY'
from rapidfuzz.distance import OSA, JaroWinkler
from strsimpy.damerau import Damerau
from strsimpy.jaro_winkler import JaroWinkler as OtherJaroWinkler
from strsimpy.levenshtein import Levenshtein
from strsimpy.optimal_string_alignment import OptimalStringAlignment

CAT, DOG = "a photo of a cat", "a photo of a dog"
for pair in (("", DOG), (DOG, ""), ("", "solo")):
    found = [distance().distance(*pair) for distance in (OptimalStringAlignment, Levenshtein, Damerau)] + [OSA.distance(*pair)]
    print("{!r} and {!r}: OSA {:g}, Levenshtein {:g}, Damerau {:g}, rapidfuzz {:g}".format(*pair, *found))
    assert found == [0] + [len(max(pair))] * 3
similar = OtherJaroWinkler().similarity(CAT, DOG), JaroWinkler.similarity(CAT, DOG)
print("{!r} and {!r}: Jaro-Winkler {:.3f}, rapidfuzz {:.3f}".format(CAT, DOG, *similar))
assert similar[0] > 0.97
assert similar[1] < 0.93
PY
"$folder/venv/bin/python" "$folder/run.py"
