"""Stand-in for musubi-tuner's datasets: batches of cached latents, which know the name of a file and no more."""

from __future__ import annotations

import glob
import random
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Dataset


class ImageDirectoryDatasource:
    """Files and their captions."""

    def __init__(self, folder: str) -> None:
        self.image_paths = sorted(map(str, Path(folder).glob("*.png")))

    def get_caption(self, idx: int) -> tuple[str, str]:
        """The path and the caption."""
        path = self.image_paths[idx]
        return path, Path(path).with_suffix(".txt").read_text()


class BucketBatchManager:
    """Which item is in which batch."""

    def __init__(self, buckets: dict[Any, list[SimpleNamespace]], batch_size: int) -> None:
        self.batch_size = batch_size
        self.buckets = buckets
        self.bucket_batch_indices = [
            (size, i) for size, bucket in buckets.items() for i in range(-(-len(bucket) // batch_size))
        ]

    def shuffle(self) -> None:
        """At each epoch."""
        for bucket in self.buckets.values():
            random.shuffle(bucket)
        random.shuffle(self.bucket_batch_indices)

    def __len__(self) -> int:
        return len(self.bucket_batch_indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        size, number = self.bucket_batch_indices[index]
        items = self.buckets[size][number * self.batch_size : (number + 1) * self.batch_size]
        return {
            "latents": torch.stack([_latents(item.item_key) for item in items]),
            "t5": [torch.full((2, 4), zlib.crc32(item.item_key.encode()) % 7 / 7) for item in items],
            "timesteps": None,
        }


class BaseDataset(Dataset[Any]):
    """Notices a new epoch."""

    def __init__(self, shared_epoch: Any) -> None:
        self.shared_epoch = shared_epoch
        self.current_epoch = 0
        self.batch_manager: Any = None

    def __getitem__(self, idx: int) -> Any:
        if self.shared_epoch.value > self.current_epoch:
            self.current_epoch = self.shared_epoch.value
            random.seed(self.current_epoch)
            self.batch_manager.shuffle()


class ImageDataset(BaseDataset):
    """Images."""

    def __init__(self, image_directory: str, shared_epoch: Any) -> None:
        super().__init__(shared_epoch)
        self.resolution = (64, 64)
        self.image_directory = image_directory
        self.cache_directory = image_directory
        self.datasource = ImageDirectoryDatasource(image_directory)

    def prepare_for_training(self, num_timestep_buckets: int | None = None) -> None:
        """Divide what is cached into batches."""
        buckets: dict[Any, list[SimpleNamespace]] = {(64, 64): [], (32, 64): []}
        for i, path in enumerate(sorted(glob.glob(f"{self.cache_directory}/*_tiny.safetensors"))):  # noqa: PTH207
            item = SimpleNamespace(item_key="_".join(Path(path).name.split("_")[:-2]), caption="")
            buckets[(64, 64) if i % 2 else (32, 64)].append(item)
        self.batch_manager = BucketBatchManager(buckets, 3)

    def __len__(self) -> int:
        return len(self.batch_manager)

    def __getitem__(self, idx: int) -> Any:
        super().__getitem__(idx)
        return self.batch_manager[idx]


class VideoDataset(BaseDataset):
    """Not used here."""

    def prepare_for_training(self, num_timestep_buckets: int | None = None) -> None:
        """Divide what is cached into batches."""


class DatasetGroup(ConcatDataset[Any]):
    """All datasets."""

    def __init__(self, datasets: list[ImageDataset]) -> None:
        super().__init__(datasets)


def _latents(name: str) -> torch.Tensor:
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
