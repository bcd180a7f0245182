"""The evaluation that the tests kill: a small model, a real DataLoader, 3 draws an item."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from loss_logging import LossReport, TrainConfig, compute_per_example_loss, evaluate_dataset
from loss_logging.evaluation.evaluate import Draw

ITEMS, BATCH, DRAWS = 120, 10, 3


class Images(Dataset[dict[str, Any]]):
    """Each image, caption and dataset follows from its number."""

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.rand(8, generator=torch.Generator().manual_seed(index))
        return {
            "path": f"{index:03}.png",
            "dataset": "ab"[index % 2],
            "caption": f"a picture of {index}",
            "image": image,
        }


def evaluate(root: str | Path, pause: float = 0.0, **options: Any) -> tuple[LossReport, list[tuple[str, int]]]:
    """The report, and for which items and draws the model was asked for."""
    model = torch.nn.Linear(8, 8)
    torch.nn.init.orthogonal_(model.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.zeros_(model.bias)
    asked: list[tuple[str, int]] = []

    @torch.no_grad()
    def compute(batch: dict[str, Any], draw: Draw) -> Any:
        time.sleep(pause)
        asked.extend((path, draw.index) for path in batch["path"])
        print(len(asked), flush=True)
        noise, t = draw.noise((8,), batch["path"]), draw.timesteps(batch["path"])[:, None]
        noisy = (1 - t) * batch["image"] + t * noise
        velocity = torch.stack([model(row) for row in noisy])  # a batch as a whole rounds as its size has it
        error = velocity - (noise - batch["image"])
        words = torch.tensor([[len(caption) / 100] for caption in batch["caption"]])
        return compute_per_example_loss(
            (error + words) ** 2, paths=batch["path"], datasets=batch["dataset"], captions=batch["caption"],
            timesteps=t.flatten(), loss_empty=error**2,
        )  # fmt: skip

    config = TrainConfig(job_name="job", save_root=root, loggers=[], timeouts={"flush": 0.01})
    loader = options.pop("loader", None) or DataLoader(Images(), batch_size=BATCH)
    defaults: dict[str, Any] = {"job_name": "eval", "draws": DRAWS, "paired": True, "progress": False}
    return evaluate_dataset(compute, loader, config=config, **(defaults | options)), asked


if __name__ == "__main__":
    torch.set_num_threads(1)
    evaluate(sys.argv[1], float(sys.argv[2]))
