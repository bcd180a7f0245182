"""One rank of two that train a small model: python sharded.py RANK STORE OUT MODE.

The mode has the words plain or logged, fsdp2 or ddp, and compiled; or accelerate, which shards by FSDP2. Prints a line
of JSON: the weights' hash, the scalars and the means of the losses that were captured.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

WORLD, ROWS, WIDTH, STEPS = 2, 4, 8, 8


class Scale(nn.Module):
    """With a parameter and a buffer of its own, as blocks of diffusion models have them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.weight


def network(mode: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Sharded block by block, or for DistributedDataParallel."""
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), Scale(), nn.Dropout(0.2)) for _ in range(2)]
    model = nn.Sequential(*blocks, Scale())
    if "fsdp2" in mode:
        mesh = init_device_mesh("cpu", (WORLD,))
        for part in (*blocks, model):
            fully_shard(part, mesh=mesh)
    if "compiled" in mode:
        model.compile(backend="aot_eager")
    if "accelerate" in mode:
        return prepared(model)
    model = model if "fsdp2" in mode else nn.parallel.DistributedDataParallel(model)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


def prepared(model: nn.Module) -> tuple[nn.Module, torch.optim.Optimizer]:
    """By Accelerate, as a script of diffusers is started with its FSDP plugin."""
    from accelerate import Accelerator, FullyShardedDataParallelPlugin, PartialState
    from accelerate.utils import DistributedType

    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU  # on CPUs it leaves the plugin unused
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="size_based_wrap", min_num_params=50)
    accelerator = Accelerator(cpu=True, fsdp_plugin=plugin)
    prepared_model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-2))
    assert any(hasattr(one, "full_tensor") for one in prepared_model.parameters()), accelerator.distributed_type
    return prepared_model, optimizer


def train(rank: int, out: str, mode: str) -> dict[str, Any]:
    """A few steps, with a pair on half of them where it is logged."""
    from loss_logging import LossLogger, TrainConfig, capture_per_example_loss

    model, optimizer = network(mode)
    config = TrainConfig(job_name="run", save_root=out, loggers=[], paired_fraction=0.5, timeouts={"close": 300})
    losses = LossLogger(config) if "logged" in mode else None
    torch.manual_seed(1 + rank)
    scalars, means = [], []
    for step in range(1, STEPS + 1):
        noisy, caption, target = torch.randn(3, ROWS, WIDTH)
        empty = None
        if losses is not None:
            with losses.paired_forward(step, model) as wanted:
                empty = (model(noisy) - target).square().mean(1) if wanted else None
        with capture_per_example_loss(ROWS) as captured:
            loss = nn.functional.mse_loss(model(noisy + caption), target)
        assert captured.check(loss), captured.reason
        assert captured.losses is not None
        if losses is not None:
            names = {"paths": [f"{rank}-{step}-{i}" for i in range(ROWS)], "datasets": "d"}
            losses.log_batch(step, captured.losses, **names, captions=["a cat"] * ROWS, losses_empty=empty)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scalars.append(loss.item())
        means.append(captured.losses.mean().item())
    if losses is not None:
        losses.save_step(STEPS)
        losses.close()
    whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
    tensors = [one.detach() for one in (*whole, *model.buffers())]
    return {"weights": hashlib.md5(b"".join(one.numpy().tobytes() for one in tensors)).hexdigest(),
            "scalars": scalars, "means": means}  # fmt: skip


def main() -> None:
    """In this process."""
    rank, store, out, mode = sys.argv[1:]
    os.environ |= {"RANK": rank, "WORLD_SIZE": str(WORLD), "LOCAL_RANK": rank, "MASTER_ADDR": "localhost"}
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=WORLD)
    print(json.dumps(train(int(rank), out, mode)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
