"""A plain PyTorch loop that logs every sample's loss, on handwritten digits of which 20 are labelled wrong.

Run it with `python examples/plain_pytorch.py`, then look with `tensorboard --logdir runs/plain_pytorch`.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset

from loss_logging import LossLogger, TrainConfig, per_example_loss, read_report

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Digits(Dataset):
    """scikit-learn's 1,797 digits; in the dataset "scans", 20 of them have the label and caption of another digit."""

    def __init__(self) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
        self.labels = torch.tensor(digits.target)
        self.wrong = list(range(0, 600, 30))
        self.labels[self.wrong] = (self.labels[self.wrong] + 5) % 10

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        return {
            "image": self.images[index],
            "label": self.labels[index],
            "path": f"{index:04d}.png",
            "dataset": "scans" if index < 600 else "photos",
            "caption": f"a handwritten {WORDS[self.labels[index]]}",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/plain_pytorch", help="folder for everything that is written")
    args = parser.parse_args()
    torch.manual_seed(0)
    data = Digits()
    loader = DataLoader(data, batch_size=32, shuffle=True)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(576, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    config = TrainConfig(job_name="digits", save_root=args.out, loggers=["tensorboard"], log_every=20, save_every=171)
    step = 0
    with LossLogger(config) as losses:
        for _epoch in range(6):
            for batch in loader:
                step += 1
                loss = F.cross_entropy(model(batch["image"]), batch["label"], reduction="none")
                names = {"paths": batch["path"], "datasets": batch["dataset"], "captions": batch["caption"]}
                losses.log_batch(step, per_example_loss(loss), **names)
                loss.mean().backward()
                optimizer.step()
                optimizer.zero_grad()
                if step % config.save_every == 0:
                    saved = losses.save_step(step)
    report = read_report(saved.result())
    wrong = {f"{index:04d}.png" for index in data.wrong}
    print(f"The 10 highest losses (mean of all: {report.global_.mean:.3f}), in {report.json_path}:")
    for item in report.global_.top_k:
        print(f"  {item.path}  {item.loss:6.2f}  {item.caption}{'  <- labelled wrong' if item.path in wrong else ''}")


if __name__ == "__main__":
    main()
