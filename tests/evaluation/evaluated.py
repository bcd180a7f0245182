from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from loss_logging.reports.report import LossReport

PATHS = [f"img/{i:03}.png" for i in range(200)]


def loss_of(path: str) -> float:
    """A loss that depends on the item alone."""
    return int(hashlib.sha256(path.encode()).hexdigest()[:6], 16) / 2**24


def batches(paths: list[str], size: int) -> list[dict[str, Any]]:
    return [
        {
            "paths": paths[i : i + size],
            "images": torch.tensor([[loss_of(path)] for path in paths[i : i + size]]),
            "array": np.array([loss_of(path) for path in paths[i : i + size]]),
            "width": 512,
            "name": "x" * len(paths[i : i + size]),
        }
        for i in range(0, len(paths), size)
    ]


def compute(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Reads every kind of value in the batch, so that a wrong selection shows."""
    n = len(batch["paths"])
    assert batch["images"].shape == (n, 1)
    assert batch["array"].shape == (n,)
    assert batch["width"] == 512
    return [
        {"path": path, "dataset": "d", "caption": "c", "loss": float(image[0])}
        for path, image in zip(batch["paths"], batch["images"], strict=True)
    ]


def plain(batch: list[str]) -> list[dict[str, Any]]:
    """For batches that are no mappings."""
    return [{"path": path, "dataset": "d", "caption": "c", "loss": loss_of(path)} for path in batch]


def items(report: LossReport) -> dict[str, float | None]:
    return {
        path: item.average_loss for dataset in report.datasets.values() for path, item in dataset.item_stats.items()
    }
