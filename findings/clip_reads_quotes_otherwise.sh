#!/usr/bin/env bash
# transformers' CLIPTokenizer gives curly quotes and HTML entities tokens that CLIP was not trained with, up to three for one.
#
# Versions: transformers 5.24.0, open_clip_torch 3.3.0, ftfy 6.3.1, torch 2.13.0; Python 3.11
# Behaviour: CLIP was trained on captions that ftfy and html.unescape had cleaned; open_clip's tokenizer still does so. That of
#   transformers, which diffusers uses, does not, with ftfy installed or without: the ’ in "it’s", as language
#   models write it, is three tokens with its s, in place of the one that is "'s", and &amp; is three.
#   Captions get longer, and are cut off earlier at 77 tokens. Captions in plain ASCII give the same ids in both. The tokenizer
#   is built from the vocabulary that open_clip's wheel ships, which is OpenAI's.
# Seen: "'it’s a dog’s bowl' open_clip: 6 tokens, transformers: 10 other ones", "'black &amp; white' open_clip: 3 tokens, transformers: 5
#   other ones", "a caption of 65 tokens with straight quotes is one of 100 with curly ones"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 transformers==5.24.0 open_clip_torch==3.3.0 ftfy==6.3.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import gzip
import torch

if torch.__version__.endswith("+cpu"):  # the compiled part of torchvision's own wheel does not load beside it, and is not used here
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from transformers import CLIPTokenizer

ours = SimpleTokenizer()
merges = gzip.open(default_bpe()).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
theirs = CLIPTokenizer(
    vocab={names.get(token, token): number for token, number in ours.encoder.items()},
    merges=[tuple(merge.split()) for merge in merges],
)


def ids(caption):
    """The tokens of a caption in open_clip and in transformers, without those of its start and end."""
    one, two = ours(caption)[0].tolist(), theirs(caption)["input_ids"]
    assert one[0] == two[0] == 49406 and two[-1] == 49407
    return one[1 : one.index(49407)], two[1:-1]


CAPTIONS = {
    "it's a dog's bowl, 1girl, cat_ears, (red:1.2), f/1.8, 3.5mm": True,
    "na\u00efve \u2014 \u732b": True,
    "it\u2019s a dog\u2019s bowl": False,
    "\u201copen\u201d": False,
    "black &amp; white": False,
}
for caption, same in CAPTIONS.items():
    one, two = ids(caption)
    print(repr(caption), "open_clip:", len(one), "tokens, transformers:", len(two), "the same" if one == two else "other ones")
    assert (one == two) == same
straight = "a sign that says 'open', it's the dog's, "
assert ids(straight * 4)[0] == ids(straight * 4)[1]
curly = straight.replace(" '", " \u2018").replace("'", "\u2019")
counts = [len(found) for found in ids(curly * 5)]
print("a caption of", counts[0], "tokens with straight quotes is one of", counts[1], "with curly ones")
assert ids(curly)[0] == ids(straight)[0] and counts[1] > 75 >= counts[0] * 0.5
PY
"$folder/venv/bin/python" "$folder/run.py"
