#!/usr/bin/env bash
# With two optimizers and update_every_n_steps=2 Lightning's EMAWeightAveraging ends fit() with the initial weights.
#
# Versions: lightning 2.6.6, torch 2.13.0; Python 3.11
# Behaviour: update_every_n_steps is counted in trainer.global_step, which two optimizers (an autoencoder and its discriminator)
#   raise by 2 each batch: its index is always odd, and no even number divides it. As no average was ever made, the copy of
#   the weights from before the training is validated, saved as the checkpoint's state_dict, and written over the trained weights at
#   the end. One expects an average of every second step, or the trained weights. The same happens with one optimizer where
#   training ends before update_starting_at_step. No warning in any case.
# Seen: "one optimizer, every 2 steps: loss 33.77 before training, 1.625 in the last validation, 1.625 after fit(), weights are the
#   initial ones False", "two optimizers, every step: ... 0.1247 ..., 0.1247 ... False", "two optimizers, every 2 steps: ... 33.77 ...,
#   33.77 ... True", "two optimizers, every 10 steps: ... True", "one optimizer, from step 100 of 30: ... True"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import logging
import sys
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.manual_seed(0)
inputs = torch.randn(320, 4)
data = torch.utils.data.TensorDataset(inputs, inputs @ torch.tensor([[1.0], [2.0], [3.0], [4.0]]))


class Model(lightning.LightningModule):
    """A regression; with two optimizers the second has a weight of its own, in place of a discriminator."""

    def __init__(self, optimizers):
        super().__init__()
        self.layer, self.other = torch.nn.Linear(4, 1, bias=False), torch.nn.Linear(1, 1)
        torch.nn.init.zeros_(self.layer.weight)
        self.automatic_optimization = False
        self.count = optimizers

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def training_step(self, batch, _):
        losses = self.loss(batch), self.other(torch.ones(1, 1)).square().mean()
        optimizers = self.optimizers()
        for optimizer, loss in zip(optimizers if self.count == 2 else [optimizers], losses):
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def validation_step(self, batch, _):
        self.validated = self.loss(batch).item()

    def configure_optimizers(self):
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (self.layer, self.other)[: self.count]]


def fit(optimizers, **options):
    """Losses before, in the last validation, and after 30 batches; whether weights, and those that are saved, are the initial ones."""
    model, whole = Model(optimizers), torch.utils.data.DataLoader(data, batch_size=320)
    before = model.loss(data[:]).item()
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", callbacks=[EMAWeightAveraging(decay=0.9, **options)], logger=False,
        default_root_dir=sys.argv[1], enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=32), whole)
    saved = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)["state_dict"]["layer.weight"]
    return before, model.validated, model.loss(data[:]).item(), model.layer.weight.abs().max() == 0 and saved.abs().max() == 0


RUNS = {
    "one optimizer, every 2 steps": (1, {"update_every_n_steps": 2}, False),
    "two optimizers, every step": (2, {}, False),
    "two optimizers, every 2 steps": (2, {"update_every_n_steps": 2}, True),
    "two optimizers, every 10 steps": (2, {"update_every_n_steps": 10}, True),
    "one optimizer, from step 100 of 30": (1, {"update_starting_at_step": 100}, True),
}
seen = {}
for name, (optimizers, options, _) in RUNS.items():
    before, validated, after, initial = seen[name] = fit(optimizers, **options)
    print(f"{name}: loss {before:.4g} before training, {validated:.4g} in the last validation, {after:.4g} after fit(), "
          f"weights are the initial ones {bool(initial)}")
for name, (_, _, lost) in RUNS.items():
    before, validated, after, initial = seen[name]
    assert bool(initial) == lost and (after == before) == lost and (validated == before) == lost, name
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
