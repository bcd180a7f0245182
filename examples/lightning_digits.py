"""Lightning on handwritten digits of which 20 are labelled wrong: a callback finds them; the module stays as it is."""

from __future__ import annotations

import argparse

import lightning
import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from loss_logging import TrainConfig, read_report
from loss_logging.integrations.trainers.lightning import LossLoggingCallback

WRONG = range(0, 600, 30)


class Classifier(lightning.LightningModule):
    """A small network; its training_step returns a scalar, as most do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(576, 10)
        )

    def training_step(self, batch: dict, _batch_idx: int) -> torch.Tensor:
        return F.cross_entropy(self.layers(batch["image"]), batch["label"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def items() -> list[dict]:
    digits = load_digits()
    labels = [(label + 5) % 10 if i in WRONG else label for i, label in enumerate(digits.target.tolist())]
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    return [
        {"image": images[i], "label": label, "path": f"{i:04d}.png", "caption": f"the digit {label}"}
        for i, label in enumerate(labels)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/lightning", help="folder for everything that is written")
    parser.add_argument("--max-steps", type=int, default=400)
    parser.add_argument("--devices", type=int, default=1, help="processes, started by Lightning")
    args = parser.parse_args()
    lightning.seed_everything(0, verbose=False)
    config = TrainConfig(job_name="digits", save_root=args.out, loggers=["tensorboard"])
    trainer = lightning.Trainer(
        max_steps=args.max_steps,
        accelerator="cpu",
        devices=args.devices,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LossLoggingCallback(config)],
    )
    trainer.fit(Classifier(), DataLoader(items(), batch_size=32, shuffle=True))
    if not trainer.is_global_zero:
        return
    report = read_report(config.report_path(args.max_steps))
    wrong = {f"{index:04d}.png" for index in WRONG}
    print(f"The 10 hardest items, in {report.json_path}:")
    for item in report.worst.hard[:10]:
        print(f"  {item.path}  {item.score:5.2f}  {item.caption}{'  <- labelled wrong' if item.path in wrong else ''}")


if __name__ == "__main__":
    main()
