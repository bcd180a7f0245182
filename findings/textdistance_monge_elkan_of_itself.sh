#!/usr/bin/env bash
# textdistance's Monge-Elkan similarity of a caption and its own words in another order is 0.61, that of "red" and "green" is 2.
#
# Versions: textdistance 4.6.3; Python 3.11
# Behaviour: Monge-Elkan is the mean, over the words of a text, of each word's best match. MongeElkan(qval=None) divides the sum by
#   the number of words twice, and takes for a match, by default, a count of equal letters and not a share: the more words, the
#   less similar, and values above 1 for two words. normalized_similarity goes up to 1.25, and distance below 0. Equal texts
#   give 1, as they are compared first; with one more word, ".", in the second it is 0.61. With JaroWinkler() as the algorithm the second
#   division is all that is wrong: half for two words, a sixth for six.
# Seen: "'a red cat sits outside here' and 'here sits outside a red cat': 0.6111, ... with JaroWinkler 0.1667 (true 1.0000)", "'red' and
#   'green': 2.0000, normalised 1.0000", "'paul johnson' and 'johson paule': 2.5000, normalised 1.2500, distance -0.5000,
#   with JaroWinkler 0.4719 (true 0.9439)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check textdistance==4.6.3
cat > "$folder/run.py" <<'PY'
from textdistance import JaroWinkler, MongeElkan

counted, shared, same = MongeElkan(qval=None), MongeElkan(qval=None, algorithm=JaroWinkler()), JaroWinkler()


def true(first, second):
    """The mean over the words of the first text of their best match in the second."""
    matches = [max(same(word, other) for other in second.split()) for word in first.split()]
    return sum(matches) / len(matches)


found = {}
for first, second in (("a red cat sits outside here", "here sits outside a red cat"),
                      ("a red cat sits outside here", "a red cat sits outside here ."),
                      ("red", "green"), ("paul johnson", "johson paule")):
    found[first, second] = values = (counted(first, second), shared(first, second), true(first, second))
    print(f"{first!r} and {second!r}: {values[0]:.4f}, normalised {counted.normalized_similarity(first, second):.4f}, "
          f"distance {counted.distance(first, second):.4f}, with JaroWinkler {values[1]:.4f} (true {values[2]:.4f})")
for (first, _), values in found.items():
    assert abs(values[1] * len(first.split()) - values[2]) < 1e-9  # divided twice
assert found["a red cat sits outside here", "here sits outside a red cat"][2] == 1
assert found["red", "green"][0] > 1 > found["a red cat sits outside here", "here sits outside a red cat"][0]
assert counted.distance("paul johnson", "johson paule") < 0 and counted.normalized_similarity("paul johnson", "johson paule") > 1
PY
"$folder/venv/bin/python" "$folder/run.py"
