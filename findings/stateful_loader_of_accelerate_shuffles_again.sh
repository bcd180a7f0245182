#!/usr/bin/env bash
# Resuming with use_stateful_dataloader=True in the middle of a shuffled epoch goes on in another permutation.
#
# Versions: accelerate 1.15.0, torchdata 0.11.0, torch 2.13.0; Python 3.11
# Behaviour: 40 examples, batches of four, load_state() after four of ten batches. torchdata's StatefulDataLoader
#   alone resumes shuffle=True exactly. Prepared by accelerate with use_stateful_dataloader=True, which is "backed by
#   torchdata.StatefulDataLoader" after the docs of DataLoaderConfiguration, six batches follow, but of another
#   shuffle: examples come twice, and as many never. With use_seedable_sampler=True the first epoch is resumed
#   exactly, and the second is not. With skip_first_batches, as for other loaders, the epoch after the resumed one is
#   without its first four batches, too. Nothing warns.
# Seen: "torchdata alone: twice 0, never 0", "accelerate, epoch 0: twice 9, never 9", "seedable, epoch 0: twice 0, never 0",
#   "seedable, epoch 1: twice 10, never 10", "with skip_first_batches: batches of the two epochs [6, 6]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0 torchdata==0.11.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import os, sys, tempfile
os.environ["ACCELERATE_USE_CPU"] = "1"
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, set_seed
from torchdata.stateful_dataloader import StatefulDataLoader


def prepared(seedable):
    """What a new process has."""
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    config = DataLoaderConfiguration(use_stateful_dataloader=True, use_seedable_sampler=seedable)
    accelerator = Accelerator(dataloader_config=config)
    set_seed(5)
    return accelerator, accelerator.prepare(torch.utils.data.DataLoader(range(40), batch_size=4, shuffle=True))


def resumed(seedable, epoch, skip=False):
    """The examples of an epoch that is left after four batches, before and after; batches after resuming, by epoch."""
    accelerator, loader = prepared(seedable)
    before, folder = [], tempfile.mkdtemp(dir=sys.argv[1])
    for each in range(epoch + 1):
        for index, batch in enumerate(loader):
            if each == epoch:
                before += batch.tolist()
                if index == 3:
                    accelerator.save_state(folder)
                    break
    accelerator, loader = prepared(seedable)
    accelerator.load_state(folder)
    after = [batch.tolist() for batch in (accelerator.skip_first_batches(loader, 4) if skip else loader)]
    return before, sum(after, []), [len(after), len(list(loader))]


def counts(before, after):
    return {"twice": len(set(before) & set(after)), "never": 40 - len(set(before) | set(after))}


torch.manual_seed(5)
loader = StatefulDataLoader(range(40), batch_size=4, shuffle=True)
batches = iter(loader)
before, state = sum((next(batches).tolist() for _ in range(4)), []), loader.state_dict()
loader = StatefulDataLoader(range(40), batch_size=4, shuffle=True)
loader.load_state_dict(state)
alone = counts(before, sum((batch.tolist() for batch in loader), []))
print("torchdata alone:", alone)
assert alone == {"twice": 0, "never": 0}
for seedable, epoch in ((False, 0), (False, 1), (True, 0), (True, 1)):
    before, after, lengths = resumed(seedable, epoch)
    found = counts(before, after)
    print("accelerate, seedable sampler" if seedable else "accelerate", f"epoch {epoch}:", found)
    assert lengths == [6, 10]
    assert found["twice"] == found["never"] and (found["twice"] > 3) == ((seedable, epoch) != (True, 0))
lengths = resumed(True, 0, skip=True)[2]
print("with skip_first_batches: batches of the two epochs", lengths)
assert lengths == [6, 6]
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
