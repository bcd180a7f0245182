#!/usr/bin/env bash
# rouge counts each word once: a caption that says "a cat on a mat" 40 times has ROUGE-1, ROUGE-L and precision of 1.0.
#
# Versions: rouge 1.0.1, rouge_score 0.1.2; Python 3.11
# Behaviour: ROUGE's precision is there to fall where a text is too long, and a captioner that loops is what it should find. The
#   default exclusive=True of Rouge makes sets of words and of pairs, and a set's length is what all is divided by, that of
#   ROUGE-L too. README and docstring of get_scores do not say so. Google's rouge_score counts all words.
# Seen: "rouge: {'rouge-1': 1.0, 'rouge-2': 0.889, 'rouge-l': 1.0}", "rouge_score: {'rouge1': 0.049, 'rouge2': 0.039, 'rougeL':
#   0.049}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rouge==1.0.1 rouge_score==0.1.2 setuptools==80.9.0
cat > "$folder/run.py" <<'PY'
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

TRUE = "a cat on a mat"
LOOP = " ".join([TRUE] * 40)

scores = Rouge().get_scores(LOOP, TRUE)[0]
print("rouge:", {name: round(score["f"], 3) for name, score in scores.items()})
others = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(TRUE, LOOP)
print("rouge_score:", {name: round(score.fmeasure, 3) for name, score in others.items()})
for name in ("rouge-1", "rouge-l"):
    assert scores[name]["p"] == 1
    assert scores[name]["f"] > 0.999
assert scores["rouge-2"]["f"] > 0.8
assert max(score.fmeasure for score in others.values()) < 0.06
PY
"$folder/venv/bin/python" "$folder/run.py"
