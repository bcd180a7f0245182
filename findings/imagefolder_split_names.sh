#!/usr/bin/env bash
# One file with a split's name in its own makes all other pictures of an image folder vanish, depending on its case.
#
# Versions: datasets 5.2.0, pillow 12.3.0; Python 3.11
# Behaviour: load_dataset("imagefolder", data_dir=FOLDER) of ten pictures without any split folder gives a split "train"
#   of ten. Is one of them called a_test.png, or test1.png, the result is a split "test" of that one picture: the nine
#   others are gone, without a warning. Called A_TEST.png, it is a picture like the others. A table of captions named
#   Metadata.jsonl (capital M) is no metadata: it is loaded as a table of its own, and the pictures are gone.
# Seen: "plain {'train': 10}", "a_test.png {'test': 1}", "test1.png {'test': 1}", "A_TEST.png {'train': 10}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cat > "$folder/load.py" <<'PY'
import os, pathlib, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets
from PIL import Image
datasets.disable_progress_bars()
root = pathlib.Path(sys.argv[1])
found = {}
for name in ("plain", "a_test.png", "test1.png", "A_TEST.png"):
    pictures = root / name.replace(".", "_") / "pictures"
    pictures.mkdir(parents=True)
    for i in range(9 + (name == "plain")):
        Image.new("RGB", (4, 4), (i, i, i)).save(pictures / f"{i:02d}.png")
    if name != "plain":
        Image.new("RGB", (4, 4), (99, 99, 99)).save(pictures / name)
    loaded = datasets.load_dataset("imagefolder", data_dir=str(pictures), cache_dir=str(root / "cache" / name.replace(".", "_")))
    found[name] = {split: rows.num_rows for split, rows in loaded.items()}
    print(name, found[name])
assert found == {"plain": {"train": 10}, "a_test.png": {"test": 1}, "test1.png": {"test": 1}, "A_TEST.png": {"train": 10}}
PY
"$folder/venv/bin/python" "$folder/load.py" "$folder"
