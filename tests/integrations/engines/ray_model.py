"""What the Ray tests evaluate. Actors import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from loss_logging.evaluation.evaluate import Draw
from loss_logging.evaluation.image_batches import open_rows

Rows = list[dict[str, Any]]


def rows(count: int) -> Rows:
    """Items of two datasets; each value follows from the number."""
    return [
        {"path": f"{i:03}.png", "dataset": "ab"[i % 2], "caption": f"a picture of {i}", "image": [i / 7, i / 3, 1.0]}
        for i in range(count)
    ]


def batches(data: Rows, size: int) -> list[dict[str, Any]]:
    """The rows as a local loader has them."""
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return [{name: [row[name] for row in part] for name in part[0]} for part in parts]


class Watched:
    """Without a model: says what it computes, and does what a test asks for at one item.

    Args:
        folder: where the file "asked" is, with a line for each item and draw.
        at: the path of the item.
        does: "die" ends the process each time, "die once" the first time, "raise" raises a MemoryError.
        pause: seconds that a batch takes.
    """

    def __init__(self, folder: Path, at: str = "", does: str = "", pause: float = 0.0) -> None:
        self.folder, self.at, self.does, self.pause = folder, at, does, pause

    def __call__(self, batch: dict[str, Any], draw: Draw) -> Any:
        self.folder.mkdir(exist_ok=True)
        time.sleep(self.pause)
        if self.at in batch["path"]:
            self._misbehave()
        with (self.folder / "asked").open("a") as file:
            file.writelines(f"{path} {draw.index}\n" for path in batch["path"])
        return [
            {"path": path, "dataset": dataset, "caption": caption, "loss": len(caption) + draw.index + int(path[:3])}
            for path, dataset, caption in zip(batch["path"], batch["dataset"], batch["caption"], strict=True)
        ]

    def _misbehave(self) -> None:
        if self.does == "raise":
            raise MemoryError("no room for the batch")
        marker = self.folder / "died"
        if self.does == "die" or (self.does == "die once" and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Denoiser(Watched):
    """A model in torch, loaded in each actor: noise and timestep come from the draw."""

    def __init__(self, *args: Any, **options: Any) -> None:
        import torch

        super().__init__(*args, **options)
        torch.set_num_threads(1)
        self.model = torch.nn.Linear(3, 3)
        torch.nn.init.orthogonal_(self.model.weight, generator=torch.Generator().manual_seed(0))
        torch.nn.init.zeros_(self.model.bias)

    def __call__(self, batch: dict[str, Any], draw: Draw) -> Any:
        import torch

        from loss_logging import compute_per_example_loss

        super().__call__(batch, draw)
        noise, t = draw.noise((3,), batch["path"]), draw.timesteps(batch["path"])[:, None]
        images = torch.tensor(np.array([np.asarray(image) for image in batch["image"]]), dtype=torch.float32)
        with torch.no_grad():  # row by row: a batch as a whole rounds as its size has it
            velocity = torch.stack([self.model(row) for row in (1 - t) * images + t * noise])
        error = velocity - (noise - images)
        words = torch.tensor([[len(caption) / 100] for caption in batch["caption"]])
        return compute_per_example_loss(
            (error + words) ** 2, paths=batch["path"], datasets=batch["dataset"], captions=batch["caption"],
            timesteps=t.flatten(), loss_empty=error**2, components={"mean": images.mean(1)},
        )  # fmt: skip


class Brightness:
    """Opens the images itself, in squares of 8 pixels."""

    def load(self, images: Any) -> Any:
        return open_rows(images, 8)

    def __call__(self, batch: dict[str, Any]) -> Any:
        brightness = batch["pixel_values"].mean(dim=(1, 2, 3)).tolist()
        return [
            {"path": path, "dataset": dataset, "caption": caption, "loss": loss}
            for path, dataset, caption, loss in zip(
                batch["paths"], batch["datasets"], batch["captions"], brightness, strict=True
            )
        ]
