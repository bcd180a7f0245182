"""Stand-in for DeepSpeed's pipeline of one stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


class PipelineModule(torch.nn.Module):
    """Layers and a loss."""

    def __init__(self, layers: Any, num_stages: int | None = None, loss_fn: Any = None) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.loss_fn = loss_fn
        self._partition_layers()

    def _partition_layers(self, method: str = "uniform") -> None:
        pass


class ManualPipelineModule(PipelineModule):
    """Can be split by hand."""

    def __init__(self, *args: Any, manual_partition_split: Any = None, **kwargs: Any) -> None:
        self.manual_partition_split = manual_partition_split
        super().__init__(*args, **kwargs)

    def _partition_layers(self, method: str = "uniform") -> None:
        super()._partition_layers(method)


class Engine:
    """Trains on micro-batches of (features, label), each a tuple of tensors, which it copies."""

    is_pipe_parallel = False

    def __init__(self, module: Any, micro_batches: int, num_stages: int) -> None:
        self.module, self.micro_batches, self.num_stages = module, micro_batches, num_stages
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
        self.global_steps = 0

    def _loss(self, micro_batch: Any) -> torch.Tensor:
        features, label = micro_batch
        assert all(torch.is_tensor(one) for one in (*features, *label))
        output = features[0].clone()
        for layer in self.module.layers:
            output = layer(output)
        loss: torch.Tensor = self.module.loss_fn(output, tuple(one.detach().clone() for one in label))
        return loss

    def train_batch(self, data_iter: Iterator[Any]) -> torch.Tensor:
        """One step; the mean loss of its micro-batches."""
        total = torch.zeros(())
        for micro_batch in data_iter:
            loss = self._loss(micro_batch) / self.micro_batches
            loss.backward()
            total += loss.detach()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.global_steps += 1
        return total

    def eval_batch(self, data_iter: Iterator[Any]) -> torch.Tensor:
        """Without gradients."""
        with torch.no_grad():
            return self._loss(next(data_iter))
