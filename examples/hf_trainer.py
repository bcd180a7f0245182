"""Hugging Face's Trainer on handwritten digits of which 20 are labelled wrong: one call, `log_losses`, finds them."""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from loss_logging import read_report
from loss_logging.integrations.trainers.transformers import log_losses

WRONG = range(0, 600, 30)


class Digits(Dataset):
    """scikit-learn's 1,797 digits, with columns that say what an item is; the model never sees those."""

    def __init__(self) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
        self.labels = torch.tensor(digits.target)
        self.labels[list(WRONG)] = (self.labels[list(WRONG)] + 5) % 10

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        label = int(self.labels[index])
        names = {
            "file": f"{index:04d}.png",
            "source": "scans" if index < 600 else "photos",
            "text": f"the digit {label}",
        }
        return {"pixel_values": self.images[index], "labels": label, **names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/hf_trainer", help="folder for everything that is written")
    parser.add_argument("--max-steps", type=int, default=400)
    args = parser.parse_args()
    torch.manual_seed(0)
    shape = {"image_size": 8, "patch_size": 2, "num_channels": 1, "hidden_size": 64, "intermediate_size": 128}
    model = ViTForImageClassification(ViTConfig(num_hidden_layers=2, num_attention_heads=4, num_labels=10, **shape))
    arguments = TrainingArguments(
        output_dir=args.out,
        max_steps=args.max_steps,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        save_strategy="no",
        report_to=["tensorboard"],
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Digits())
    losses = log_losses(trainer, path="file", dataset="source", caption="text")
    trainer.train()
    if not trainer.is_world_process_zero():
        return  # rank 0 reports on all
    report = read_report(losses.config.report_path(args.max_steps))
    wrong = {f"{index:04d}.png" for index in WRONG}
    print(f"The 10 hardest items, in {report.json_path}:")
    for item in report.worst.hard[:10]:
        print(f"  {item.path}  {item.score:5.2f}  {item.caption}{'  <- labelled wrong' if item.path in wrong else ''}")


if __name__ == "__main__":
    main()
