#!/usr/bin/env bash
# A stream split by take(100) and skip(100) trains on 50 of the taken 100 with 2 workers, on 87 with 8.
#
# Versions: datasets 5.2.0, torch 2.13.0; Python 3.11
# Behaviour: the guide to streaming splits a data set by take and skip. With workers of a DataLoader, or nodes, each of them
#   takes and skips its share of the 100 in its own shards, which are not those that come first: rows that validation in the
#   main process uses are trained on, and as many others never. Only where both are read in the same way they differ. Counts stay
#   right, nothing is said; the guide's one warning is of a shuffle after the split.
# Seen: "in order, no workers: 0 of 100 validation rows are trained on, 0 rows are never used", "... {'workers': 2}: 50 ...",
#   "... {'workers': 8}: 87 of 100 validation rows are trained on, 87 rows are never used", "... {'nodes': 4}: 75 ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 torch==2.13.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
from datasets import Dataset
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

ROWS, SHARDS, TAKEN = 1000, 8, 100


def reads(stream, workers=0, nodes=1):
    parts = [split_dataset_by_node(stream, rank, nodes) for rank in range(nodes)] if nodes > 1 else [stream]
    return [int(row) for part in parts for batch in DataLoader(part, num_workers=workers) for row in batch["row"]]


if __name__ == "__main__":
    plain = Dataset.from_dict({"row": range(ROWS)}).to_iterable_dataset(num_shards=SHARDS)
    for name, stream in {"in order": plain, "shuffled": plain.shuffle(seed=0, max_buffer_input_shards=1)}.items():
        validation = set(reads(stream.take(TAKEN)))
        for how in ({}, {"workers": 2}, {"workers": 8}, {"nodes": 4}):
            trained = reads(stream.skip(TAKEN), **how)
            both, unused = len(validation & set(trained)), ROWS - len(validation | set(trained))
            print(f"{name}, {how or 'no workers'}: {both} of {TAKEN} validation rows are trained on, {unused} rows are never used")
            assert len(trained) == len(set(trained)) == ROWS - TAKEN and len(validation) == TAKEN
            assert both == unused and (both > 25 if how else both == 0)
            assert not set(reads(stream.take(TAKEN), **how)) & set(trained)
PY
"$folder/venv/bin/python" "$folder/run.py"
