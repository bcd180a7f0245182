#!/usr/bin/env bash
# NLTK's chrF of "a dog" and "a dog" is 0.67, of "1girl" 0.83; its RIBES of "dog" and "dog" is 0, and so is that of "no no no".
#
# Versions: nltk 3.10.4, sacrebleu 2.6.0; Python 3.11
# Behaviour: sentence_chrf takes the mean over n-grams of 1 to 6 characters, and those that a text of less than 6 is too short for
#   count as 0 (blanks are left out first). sacrebleu leaves them out, and gives 1 for equal texts.
#   sentence_ribes gives 0 where it finds fewer than two words to rank, and it ranks no words that come more than once.
# Seen: "'dog': chrF 0.500, sacrebleu 1.000, RIBES 0.000", "'a dog': chrF 0.667, sacrebleu 1.000, RIBES 1.000", "'no no no': chrF
#   1.000, sacrebleu 1.000, RIBES 0.000"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nltk==3.10.4 sacrebleu==2.6.0
cat > "$folder/run.py" <<'PY'
from nltk.translate.chrf_score import sentence_chrf
from nltk.translate.ribes_score import sentence_ribes
from sacrebleu.metrics import CHRF

found = {}
for caption in ("dog", "a dog", "1girl", "no no no", "a red dog on a mat"):
    words = caption.split()
    found[caption] = sentence_chrf(caption, caption), CHRF().sentence_score(caption, [caption]).score / 100, sentence_ribes([words], words)
    print("{!r}: chrF {:.3f}, sacrebleu {:.3f}, RIBES {:.3f}".format(caption, *found[caption]))
assert all(other == 1 for _, other, _ in found.values())
assert abs(found["dog"][0] - 3 / 6) < 1e-9
assert abs(found["a dog"][0] - 4 / 6) < 1e-9
assert abs(found["1girl"][0] - 5 / 6) < 1e-9
assert found["dog"][2] == found["no no no"][2] == 0
assert found["a red dog on a mat"][0] == found["a dog"][2] == 1
PY
"$folder/venv/bin/python" "$folder/run.py"
