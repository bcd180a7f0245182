"""Stand-in for diffusion-pipe's datasets: batches of cached latents with an image_spec and a caption."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch


class Dataset:
    """Batches of 4."""

    def __init__(self, folders: list[str]) -> None:
        self.directory_datasets = [SimpleNamespace(path=Path(folder)) for folder in folders]
        files = [path for one in self.directory_datasets for path in sorted(one.path.glob("*.png"))]
        self.batches = [files[i : i + 4] for i in range(0, len(files) - 3, 4)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        files = self.batches[index]
        return {
            "latents": torch.stack([_latents(path.name) for path in files]),
            "mask": None if index % 2 else torch.full((4, 1, 8, 8), 0.5),
            "image_spec": [[None, str(path)] for path in files],
            "caption": [path.with_suffix(".txt").read_text() for path in files],
        }


def split_batch(batch: Any, pieces: int) -> list[Any]:
    """Into micro-batches of tensors alone."""
    features, label = batch
    size = features[0].size(0) // pieces
    parts = [
        zip(*(torch.split(t, size) if t is not None else [torch.tensor([])] * pieces for t in part), strict=True)
        for part in (features, label)
    ]
    return list(zip(*parts, strict=True))


class PipelineDataLoader:
    """Without end; it has always pulled one more than was asked for."""

    def __init__(
        self,
        dataset: Any,
        model_engine: Any,
        gradient_accumulation_steps: int,
        model: Any,
        num_dataloader_workers: int = 1,
    ) -> None:
        self.model, self.dataset, self.model_engine = model, dataset, model_engine
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.eval_quantile = None
        self.dataloader = torch.utils.data.DataLoader(dataset, batch_size=None)
        self.data = self._pull_batches_from_dataloader()
        self.next_micro_batch: Any = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.next_micro_batch is None:
            self.next_micro_batch = next(self.data)
        given = self.next_micro_batch
        try:
            self.next_micro_batch = next(self.data)
        except StopIteration:
            self.data = self._pull_batches_from_dataloader()
            self.next_micro_batch = None
        return given

    def _pull_batches_from_dataloader(self) -> Iterator[Any]:
        for batch in self.dataloader:
            features, label = self.model.prepare_inputs(batch, timestep_quantile=self.eval_quantile)
            *targets, mask = label
            yield from split_batch((features, (*targets, mask)), self.gradient_accumulation_steps)


def _latents(name: str) -> torch.Tensor:
    return torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
