#!/usr/bin/env bash
# load_dataset("webdataset") drops each kind of file that the first five samples of the first shard do not have.
#
# Versions: datasets 5.2.0, pillow 12.3.0, webdataset 1.0.2; Python 3.11
# Behaviour: five pictures without a caption, then five with one. The result has no caption at all, of any sample, and no
#   warning. webdataset reads the same shard and hands out all five captions. The two part ways in a second thing: "a.JPG"
#   beside "b.jpg" is one kind to webdataset, which makes suffixes small, and an error to datasets.
# Seen: "datasets: columns ['__key__', '__url__', 'jpg']", "webdataset: 5 captions", "JPG and jpg: ValueError, 2 of 2"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0 webdataset==1.0.2
cat > "$folder/run.py" <<'PY'
import io, os, sys, tarfile
os.environ["HF_HUB_OFFLINE"] = "1"
os.chdir(sys.argv[1])
import datasets, webdataset
from PIL import Image

datasets.disable_progress_bars()
picture = io.BytesIO()
Image.new("RGB", (4, 4)).save(picture, "JPEG")


def shard(path, names):
    with tarfile.open(path, "w") as tar:
        for name in names:
            content = b"a cat" if name.endswith("txt") else picture.getvalue()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def load(path):
    return datasets.load_dataset("webdataset", data_files=path, split="train", cache_dir="cache")


def samples(path):
    return list(webdataset.WebDataset(path, shardshuffle=False))


shard("late.tar", [f"{i}.jpg" for i in range(5)] + [f"{i}.{kind}" for i in range(5, 10) for kind in ("jpg", "txt")])
columns = sorted(load("late.tar").column_names)
captions = sum("txt" in sample for sample in samples("late.tar"))
print("datasets: columns", columns)
print(f"webdataset: {captions} captions")
shard("case.tar", ["a.JPG", "b.jpg"])
try:
    case = f"{load('case.tar').num_rows} rows"
except Exception as error:
    case = type(error).__name__
small = sum("jpg" in sample for sample in samples("case.tar"))
print(f"JPG and jpg: {case}, {small} of 2")
assert columns == ["__key__", "__url__", "jpg"] and captions == 5 and (case, small) == ("ValueError", 2)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
