#!/usr/bin/env bash
# dynamicprompts' combinatorial and cyclical sampling leave out each wildcard of a YAML file whose weight is below 1.
#
# Versions: dynamicprompts 0.31.0; Python 3.11
# Behaviour: "0.5::a dog" in a YAML or JSON file is a wildcard that comes half as often as one without weight. Random sampling
#   does this. The other two cut the weight to a whole number first, and repeat the wildcard so often: 0.5 is never, 1.9 is
#   once. Of ten breeds with weights that add up to 1 none is left, and that is an error; beside one without weight it is silence.
#   The same weights in a prompt, {0.5::a dog|...}, lose nothing: all combinations are expected from a file too.
# Seen: "file, random: ['a cat', 'a dog', 'a fox', 'a hen']", "file, combinatorial: ['a cat', 'a hen']",
#   "file, cyclical: ['a cat', 'a hen']", "prompt, combinatorial: ['a cat', 'a dog', 'a fox', 'a hen']"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "dynamicprompts[yaml]==0.31.0"
mkdir "$folder/wildcards"
cat > "$folder/wildcards/animals.yaml" <<'YAML'
pets:
  - a cat
  - 0.5::a dog
  - { text: a fox, weight: 0.9 }
  - 1.9::a hen
YAML
cat > "$folder/run.py" <<'PY'
import sys
from pathlib import Path

from dynamicprompts.enums import SamplingMethod
from dynamicprompts.sampling_context import SamplingContext
from dynamicprompts.wildcards.wildcard_manager import WildcardManager

ALL, TEMPLATES = ["a cat", "a dog", "a fox", "a hen"], {"file": "__pets__", "prompt": "{a cat|0.5::a dog|0.9::a fox|1.9::a hen}"}
wildcards = WildcardManager(Path(sys.argv[1]) / "wildcards")
for source, template in TEMPLATES.items():
    for method in (SamplingMethod.RANDOM, SamplingMethod.COMBINATORIAL, SamplingMethod.CYCLICAL):
        context = SamplingContext(default_sampling_method=method, wildcard_manager=wildcards)
        found = sorted(set(map(str, context.sample_prompts(template, 1000))))
        print(f"{source}, {method.name.lower()}: {found}")
        assert found == (["a cat", "a hen"] if source == "file" and method is not SamplingMethod.RANDOM else ALL)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
