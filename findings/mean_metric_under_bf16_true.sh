#!/usr/bin/env bash
# The mean of 2,000 float32 losses of 1 and 3 is 4.0 in torchmetrics' MeanMetric under Lightning's precision="bf16-true".
#
# Versions: torchmetrics 1.9.0, lightning 2.6.6, torch 2.13.0; Python 3.11
# Behaviour: with the model Lightning casts the states of its metrics to bfloat16, sum and count, and a loss is cast as it
#   comes. With one loss a batch the sum stops growing at 1,024 and the count at 256. A mean above all its values is
#   logged. The same loss given to self.log() is summed in float32 and has the mean 2.0. torchmetrics says that a cast of
#   its states only happens through set_dtype(), and keeps them from .half() and .bfloat16(); Lightning uses .to(dtype=).
# Seen: "32-true {'plain': 2.0, 'metric': 2.0}", "bf16-mixed {'plain': 2.0, 'metric': 2.0}",
#   "bf16-true {'plain': 2.0, 'metric': 4.0}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 lightning==2.6.6 torchmetrics==1.9.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import logging, sys, warnings

import lightning, torch, torchmetrics

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.mean = torchmetrics.MeanMetric()

    def training_step(self, batch, index):
        loss = batch.float().mean()  # 1, 3, 1, 3, ... in float32
        self.mean.update(loss)
        self.log("metric", self.mean, on_step=False, on_epoch=True)
        self.log("plain", loss, on_step=False, on_epoch=True)
        return self.weight.float().sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


seen = {}
for precision in ("32-true", "bf16-mixed", "bf16-true"):
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", precision=precision, logger=False, default_root_dir=sys.argv[1],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    model = Model()
    trainer.fit(model, torch.utils.data.DataLoader(torch.tensor([1.0, 3.0] * 1000)))
    seen[precision] = {name: trainer.callback_metrics[name].item() for name in ("plain", "metric")}
    print(precision, seen[precision])
assert seen["32-true"] == seen["bf16-mixed"] == {"plain": 2.0, "metric": 2.0}
assert seen["bf16-true"] == {"plain": 2.0, "metric": 4.0}
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
