#!/usr/bin/env bash
# pySBD leaves out whole sentences of a caption that has one of twelve signs, such as the sun, a comet, a note or a finger.
#
# Versions: pysbd 0.3.4; Python 3.11
# Behaviour: with clean=False, the default, the segments are said to be the text itself, cut. pySBD marks what it has
#   protected by rare signs and, where the text has them, cannot find its sentences again: such a sentence, or the part of
#   it up to the sign, is dropped without a word. A caption of one sentence becomes an empty list. Of all signs up to U+30FF
#   these twelve do so: U+0238, U+0239, U+222E, U+222F, U+2604, U+2607, U+2608, U+2609, U+261D, U+2668, U+266C, U+266D.
#   Other emoji and signs keep all, as segments that join to the text.
# Seen: "'A cat dances to music ♬ on a roof.' -> []", "'A dog. Steam rises ♨ from a bath. A cat.' -> ['A dog. ', 'A cat.']",
#   "'A cat under ☀ and 🌙. A dog.' -> ['A cat under ☀ and 🌙. ', 'A dog.']"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysbd==0.3.4
cat > "$folder/run.py" <<'PY'
import pysbd

segmenter = pysbd.Segmenter(language="en")
for caption, expected in (("A cat dances to music ♬ on a roof.", []),
                          ("A dog. Steam rises ♨ from a bath. A cat.", ["A dog. ", "A cat."]),
                          ("A cat under ☀ and 🌙. A dog.", ["A cat under ☀ and 🌙. ", "A dog."])):
    segments = segmenter.segment(caption)
    print(f"{caption!r} -> {segments}")
    assert segments == expected
texts = {sign: f"A cat {sign} here. A dog sits." for sign in map(chr, range(0x21, 0x3100)) if sign.isprintable()}
lost = [sign for sign, text in texts.items() if "".join(segmenter.segment(text)) != text]
print("lost beside:", " ".join(f"U+{ord(sign):04X}" for sign in lost))
assert lost == list("ȸȹ∮∯☄☇☈☉☝♨♬♭")
PY
"$folder/venv/bin/python" -W ignore::SyntaxWarning -W ignore::DeprecationWarning "$folder/run.py"
