#!/usr/bin/env bash
# StatefulDataLoader resumes shuffle=True exactly, and with a WeightedRandomSampler goes on in another draw, silently.
#
# Versions: torchdata 0.11.0, torch 2.13.0; Python 3.11
# Behaviour: the state of a loader says how far it was, and torchdata's own random sampler says which permutation it was in.
#   torch's other samplers have no state: after load_state_dict they draw anew from the process's generator and the loader
#   skips as many batches. A subset in random order then gives some samples twice in the epoch and others never, and a
#   BatchSampler around a RandomSampler as well. One expects what shuffle=True does, or an error.
# Seen: "shuffle=True resumed: True", "WeightedRandomSampler resumed: False", "SubsetRandomSampler resumed: False",
#   "BatchSampler resumed: False"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchdata==0.11.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from torch.utils.data import BatchSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler
from torchdata.stateful_dataloader import StatefulDataLoader

DATA = list(range(40))
KINDS = {
    "shuffle=True": lambda: {"batch_size": 2, "shuffle": True},
    "WeightedRandomSampler": lambda: {"batch_size": 2, "sampler": WeightedRandomSampler([1.0] * 40, 40)},
    "SubsetRandomSampler": lambda: {"batch_size": 2, "sampler": SubsetRandomSampler(DATA)},
    "BatchSampler": lambda: {"batch_sampler": BatchSampler(RandomSampler(DATA), 2, False)},
}
seen = {}
for name, options in KINDS.items():
    torch.manual_seed(0)
    whole = [batch.tolist() for batch in StatefulDataLoader(DATA, **options())]
    torch.manual_seed(0)
    loader = StatefulDataLoader(DATA, **options())
    batches = iter(loader)
    before = [next(batches).tolist() for _ in range(5)]
    state = loader.state_dict()
    torch.manual_seed(1)  # another process: its generator is elsewhere
    loader = StatefulDataLoader(DATA, **options())
    loader.load_state_dict(state)
    seen[name] = before + [batch.tolist() for batch in loader] == whole
    print(name, "resumed:", seen[name])
assert list(seen.values()) == [True, False, False, False]
PY
"$folder/venv/bin/python" "$folder/run.py"
