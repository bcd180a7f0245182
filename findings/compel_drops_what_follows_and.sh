#!/usr/bin/env bash
# compel drops all that follows .and(...) in a prompt: '("a cat", "a dog").and(), at night' has no night.
#
# Versions: compel 2.5.1, diffusers 0.42.1, transformers 5.24.0, torch 2.13.0; Python 3.11
# Behaviour: doc/syntax.md has .and() as an operator that is appended to a list of quoted prompts, as + and (word)1.2 are to words.
#   Words after a weight are read, and words after .blend() raise a ParseException; those after .and() are dropped without a word:
#   neither the parsed prompt nor the tokens nor the embeddings know of them, and prompts with other endings give the same
#   embeddings to the bit. Words before the list make plain words of all of it: ".and()" is encoded as text.
# Seen: "'a cat, at night' is read as ['a cat, at night']", "'(a cat)1.2, at night' is read as ['a cat', ', at night']",
#   "'(\"a cat\", \"a dog\").and(), at night' is read as ['a cat', 'a dog']", "'(\"a cat\", \"a dog\").blend(0.7, 0.3), at night' raises
#   ParseException", "'at night, (\"a cat\", \"a dog\").and()' is read as ['at night, a cat , a dog .and()']",
#   "embeddings are those of other endings: True"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 compel==2.5.1 diffusers==0.42.1 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from compel import Compel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
WORDS = "a cat dog at night in the rain , . and ( )".split()
names = ["<|startoftext|>", "<|endoftext|>", *(word + "</w>" for word in WORDS), *(chr(code) for code in range(33, 127))]
names += [chr(code) + "</w>" for code in range(33, 127) if chr(code) + "</w>" not in names]
merges = []
for word in WORDS:  # letters are joined from the left, as in CLIP's own vocabulary
    for end in range(2, len(word) + 1):
        last = word[end - 1] + ("</w>" if end == len(word) else "")
        merges.append((word[: end - 1], last))
        names.append(word[: end - 1] + last)
names = list(dict.fromkeys(names))
tokenizer = CLIPTokenizer(vocab={name: number for number, name in enumerate(names)}, merges=merges, model_max_length=77)
torch.manual_seed(0)
encoder = CLIPTextModel(CLIPTextConfig(
    vocab_size=len(names), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
    bos_token_id=0, eos_token_id=1, pad_token_id=1)).eval()
compel = Compel(tokenizer=tokenizer, text_encoder=encoder)
PROMPTS = (
    "a cat, at night",
    "(a cat)1.2, at night",
    '("a cat", "a dog").and(), at night',
    '("a cat", "a dog").blend(0.7, 0.3), at night',
    'at night, ("a cat", "a dog").and()',
)


def read(prompt):
    """The texts that compel reads in a prompt, or the exception that it raises."""
    try:
        parsed = compel.parse_prompt_string(prompt)
    except Exception as error:
        return type(error).__name__
    return [part.text for piece in parsed.prompts for part in piece.children]


seen = [read(prompt) for prompt in PROMPTS]
for prompt, texts in zip(PROMPTS, seen):
    print(repr(prompt), "raises" if isinstance(texts, str) else "is read as", texts)
night, rain, nothing = (compel('("a cat", "a dog").and()' + end) for end in (", at night", " in the (rain)1.4", ""))
same = torch.equal(night, rain) and torch.equal(night, nothing)
print("embeddings are those of other endings:", same)
assert not torch.equal(compel("a cat, at night"), compel("a cat, in the rain"))  # the encoder does read endings
assert not torch.equal(compel("(a cat)1.2, at night"), compel("(a cat)1.2, in the rain"))
assert seen[0] == ["a cat, at night"] and seen[1] == ["a cat", ", at night"]
assert seen[2] == ["a cat", "a dog"] and seen[3] == "ParseException" and same
assert ".and()" in seen[4][-1]
PY
"$folder/venv/bin/python" "$folder/run.py"
