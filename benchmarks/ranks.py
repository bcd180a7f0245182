"""A save step of 1, 2 and 4 ranks, beside gathering the records as Python objects.

    python -m benchmarks.ranks [--quick] [--json FILE]

Real processes that meet over gloo, a core for each where there are enough. Every rank logs its share of the same
records; then rank 0 asks for a save step. What counts for training is how long each rank's loop is held up; what counts
for whoever waits for the figures is when rank 0 has the report.

- shared folder: every rank writes its own shards, and rank 0's reporter reads them.
- folders apart: ranks send their packed records to rank 0 behind training, through the process group's store.
- the peer: a list of dicts per rank, `torch.distributed.gather_object` at the save step, in the training loop, and
  a dict of running sums with `json.dump` on rank 0.
"""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.table import Results, arguments
from loss_logging import LossLogger

BATCH = 32
ITEMS = 10_000
CAPTION = "a photo of a thing on a wooden table in the morning light"


def batches(rank: int, world: int, records: int) -> list[tuple[list[str], list[float]]]:
    """Paths and losses of this rank's share of the records."""
    losses = np.random.default_rng(rank).lognormal(-2, 1, records // world).tolist()
    return [
        ([f"/data/{(rank + world * i) % ITEMS:06d}.png" for i in range(start, min(start + BATCH, len(losses)))], part)
        for start in range(0, len(losses), BATCH)
        if (part := losses[start : start + BATCH])
    ]


def shared(rank: int, world: int, root: Path, records: int) -> tuple[float, float]:
    """Seconds that training is held up at the save step, and until the report is there."""
    return _ours(rank, world, root, records)


def apart(rank: int, world: int, root: Path, records: int) -> tuple[float, float]:
    """The same, where ranks share no folder."""
    return _ours(rank, world, root / f"rank{rank}", records)


def _ours(rank: int, world: int, root: Path, records: int) -> tuple[float, float]:
    with LossLogger(job_name="ranks", save_root=root, loggers=[]) as losses:
        step = 0
        for step, (paths, values) in enumerate(batches(rank, world, records), 1):
            losses.log_batch(step, values, paths=paths, datasets="things", captions=[CAPTION] * len(paths))
        time.sleep(2)  # as much later as a save step is than the records of a usual run
        dist.barrier()
        start = time.perf_counter()
        future = losses.save_step(step)
        held = time.perf_counter() - start
        if rank == 0:
            path = future.result()
            assert path is not None
            assert json.loads(path.read_bytes())["global"]["count"] == records // world * world
        return held, time.perf_counter() - start


def gathered(rank: int, world: int, root: Path, records: int) -> tuple[float, float]:
    """The peer."""
    mine = [
        {"step": step, "path": path, "dataset": "things", "caption": CAPTION, "loss": loss}
        for step, (paths, values) in enumerate(batches(rank, world, records), 1)
        for path, loss in zip(paths, values, strict=True)
    ]
    dist.barrier()
    start = time.perf_counter()
    everyone: list[Any] | None = [None] * world if rank == 0 else None
    dist.gather_object(mine, everyone)
    held = time.perf_counter() - start
    if everyone is not None:
        sums: dict[str, dict[str, Any]] = {}
        for record in (record for part in everyone for record in part):
            item = sums.setdefault(record["path"], {"count": 0, "sum": 0.0, "caption": record["caption"]})
            item["count"] += 1
            item["sum"] += record["loss"]
        (root / "peer.json").write_text(json.dumps(sums), "utf-8")
        held = time.perf_counter() - start  # rank 0 trains on after the dump
    return held, time.perf_counter() - start


def _rank(
    rank: int, world: int, port: int, way: Callable[..., tuple[float, float]], root: Path, records: int, answers: Any
) -> None:
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    answers.put((rank, *way(rank, world, root, records)))
    dist.barrier()
    dist.destroy_process_group()


def measure(way: Callable[..., tuple[float, float]], world: int, records: int) -> tuple[float, float]:
    """The longest that a rank was held up, and when rank 0 had the report, in seconds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    answers = mp.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank, (world, port, way, Path(folder), records, answers), nprocs=world)
    found = sorted(answers.get() for _ in range(world))
    return max(held for _, held, _ in found), found[0][2]


def main() -> None:
    options = arguments(__doc__)
    results = Results("ranks", ["torch", "pyarrow", "duckdb"], options)
    records, repeats = (4_000, 1) if options.quick else (200_000, 3)
    rows = []
    for world in (1, 2, 4):
        for name, way in (
            ("loss_logging, shared folder", shared),
            ("loss_logging, folders apart", apart),
            ("gather_object + json.dump", gathered),
        ):
            runs = [measure(way, world, records) for _ in range(repeats)]
            held, report = (sorted(figures) for figures in zip(*runs, strict=True))
            rows.append(
                {
                    "way": name,
                    "ranks": world,
                    "training held up, ms": held[repeats // 2] * 1_000,
                    "min..max ms": f"{held[0] * 1_000:.3g}..{held[-1] * 1_000:.3g}",
                    "report after s": report[repeats // 2],
                    "min..max s": f"{report[0]:.2f}..{report[-1]:.2f}",
                }
            )
    note = f"Held up: of all ranks the longest. {repeats} runs each; the same records over any number of ranks."
    results.table(f"a save step after {records:,} records of {ITEMS:,} items", rows, note)
    results.finish()


if __name__ == "__main__":
    main()
