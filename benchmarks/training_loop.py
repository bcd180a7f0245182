"""Step times of a torch training loop with loss_logging off and on, also while a save of 1M items is written.

    python -m benchmarks.training_loop [--quick] [--json FILE]

The loop trains a small network on the CPU with one torch thread, at B = 32, with a width that makes a step take about 5
and about 10 ms. Blocks of steps with logging off and on alternate, so that a drift of the machine shows as a spread of
the pairs and not as a cost. A step is timed from the draw of its batch to the return of `log_batch` and `save_step`.

- everything on: losses, timesteps, captions, per-dataset scalars and a save step every 250 steps, TensorBoard written
  by the reporter process. "With the page" writes the report page (``html: true``) at each save step, too.
- a save of 1M items: the log holds a record of each of 1M items before the block begins; the save step is asked for
  after its first steps, and only the steps until it is finished are counted. It is the worst case: all captions are new
  and are checked in it. "While the JSON grew" are those of the steps that ran while its temporary file was there. The
  peer does the same work with the same code in a thread of the trainer's process (``reporter="inline"``).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import torch
from torch import nn

from benchmarks.table import Results, arguments, percentile
from loss_logging import LossLogger, TrainConfig
from loss_logging.records.columns import completed
from loss_logging.records.log import RecordLog

BATCH = 32
ITEMS = 5_000
FILLED_STEP = 1_000
_TRAINER = psutil.Process()


class Trainer:
    """A network that learns to predict noise; ``step()`` is one step without logging."""

    def __init__(self, milliseconds: float) -> None:
        torch.manual_seed(0)
        self.images = torch.rand(ITEMS, 256)
        self.paths = [f"/data/images/set-{i % 3}/{i:06d}.png" for i in range(ITEMS)]
        self.captions = [
            f"a photo of the thing number {i} on a wooden table in the morning light" for i in range(ITEMS)
        ]
        self.datasets = [f"set-{i % 3}" for i in range(ITEMS)]
        self._build(width=1_024, depth=1)
        depth = 1
        while (taken := statistics.median(self._timed(20))) < milliseconds * 0.95:
            depth = max(depth + 1, round(depth * min(3.0, milliseconds / taken)))
            self._build(width=1_024, depth=depth)

    def _build(self, width: int, depth: int) -> None:
        hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.GELU())]
        self.model = nn.Sequential(nn.Linear(257, width), nn.GELU(), *hidden, nn.Linear(width, 256))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)

    def _timed(self, steps: int) -> list[float]:
        taken = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            taken.append((time.perf_counter() - start) * 1_000)
        return taken

    def step(self) -> dict[str, Any]:
        """Train on one batch; returns what `log_batch` takes, which a data loader brings along anyway."""
        places = torch.randint(0, ITEMS, (BATCH,))
        chosen = places.tolist()
        timesteps = torch.rand(BATCH)
        noise = torch.randn(BATCH, 256)
        noisy = torch.lerp(self.images[places], noise, timesteps[:, None])
        losses = (self.model(torch.cat([noisy, timesteps[:, None]], 1)) - noise).square().mean(1)
        self.optimizer.zero_grad()
        losses.mean().backward()
        self.optimizer.step()
        return {
            "per_example": losses,
            "timesteps": timesteps,
            "paths": [self.paths[i] for i in chosen],
            "datasets": [self.datasets[i] for i in chosen],
            "captions": [self.captions[i] for i in chosen],
        }


class Memory:
    """Highest resident memory seen of the trainer and of its reporter process, in MB."""

    def __init__(self) -> None:
        self.trainer = self.reporter = 0.0

    def look(self) -> None:
        self.trainer = max(self.trainer, _TRAINER.memory_info().rss / 1e6)
        for child in _TRAINER.children():
            with suppress(psutil.NoSuchProcess):  # it ended just now
                if (
                    "loss_logging.training.reporter" in child.cmdline()
                ):  # between fork and exec a child is its parent's double
                    self.reporter = max(self.reporter, child.memory_info().rss / 1e6)


def off_block(trainer: Trainer, steps: int, memory: Memory) -> list[float]:
    """Milliseconds of each step."""
    taken = []
    for i in range(steps):
        start = time.perf_counter()
        trainer.step()
        taken.append((time.perf_counter() - start) * 1_000)
        if i % 50 == 0:
            memory.look()
    return taken


def on_block(
    trainer: Trainer, losses: LossLogger, steps: Iterator[int], n: int, save_every: int, memory: Memory
) -> list[float]:
    taken = []
    for i in range(n):
        step = next(steps)
        start = time.perf_counter()
        losses.log_batch(step, **trainer.step())
        if step % save_every == 0:
            losses.save_step(step)
        taken.append((time.perf_counter() - start) * 1_000)
        if i % 50 == 0:
            memory.look()
    return taken


def ratio_row(name: str, off: list[list[float]], on: list[list[float]]) -> dict[str, Any]:
    """Both over all steps; the ratios pair by pair, as median and range over the pairs."""

    def ratios(figure: Callable[[list[float]], float]) -> list[float]:
        return [figure(b) / figure(a) for a, b in zip(off, on, strict=True)]

    def p99(values: list[float]) -> float:
        return percentile(values, 99)

    all_off, all_on = list(chain.from_iterable(off)), list(chain.from_iterable(on))
    medians, tails = ratios(statistics.median), ratios(p99)
    return {
        "logging": name,
        "steps": len(all_on),
        "median ms off": f"{statistics.median(all_off):.3f}",
        "median ms on": f"{statistics.median(all_on):.3f}",
        "median ratio": f"{statistics.median(medians):.3f} ({min(medians):.3f}..{max(medians):.3f})",
        "p99 ms off": f"{p99(all_off):.2f}",
        "p99 ms on": f"{p99(all_on):.2f}",
        "p99 ratio": f"{statistics.median(tails):.3f} ({min(tails):.3f}..{max(tails):.3f})",
        "max ms off": f"{max(all_off):.1f}",
        "max ms on": f"{max(all_on):.1f}",
    }


def everything_on(
    trainer: Trainer, folder: Path, pairs: int, seconds: float, memory: Memory, *, html: bool = False
) -> dict[str, list[list[float]]]:
    """Off and on in turn; the first step after the reporter's start and the quiet between blocks are not timed."""
    n = round(seconds / (statistics.median(off_block(trainer, 50, memory)) / 1_000))
    off, on, control = [], [], []
    config = TrainConfig(job_name="page" if html else "loop", save_root=folder, loggers=["tensorboard"], html=html)
    steps = count(1)
    with LossLogger(config) as losses:
        on_block(trainer, losses, steps, 20, config.save_every, memory)
        losses.save_step(20).result()
        for _ in range(pairs):
            control.append(off_block(trainer, n, memory))
            off.append(off_block(trainer, n, memory))
            on.append(on_block(trainer, losses, steps, n, config.save_every, memory))
            losses.save_step(next(steps)).result()
            time.sleep(0.5)
    assert config.page_path.exists() == html
    return {"off": off, "on": on, "control": control}


# --- while 1M items are saved -----------------------------------------------------------------------------------


def fill(log: RecordLog, items: int) -> None:
    """One record of each of ``items`` items, over the steps up to FILLED_STEP."""
    rng = np.random.default_rng(0)
    for start in range(0, items, 131_072):
        n = np.arange(start, min(items, start + 131_072))
        size = len(n)
        columns = {
            "step": pa.array(n * FILLED_STEP // items + 1),
            "path": pa.array([f"/data/images/set-{i % 3}/and/a/folder/with/a/name/{i:09d}.png" for i in n.tolist()]),
            "dataset": pa.array([f"set-{i % 3}" for i in n.tolist()]),
            "caption": pa.array([f"a photo of thing {i} on a wooden table in the morning light" for i in n.tolist()]),
            "loss": pa.array(rng.lognormal(-2, 0.5, size)),
            "timestep": pa.array(rng.random(size)),
            "is_reg": pa.array(np.zeros(size, bool)),
            "caption_dropped": pa.array(np.zeros(size, bool)),
        }
        log.write([completed(pa.RecordBatch.from_pydict(columns))])


@contextmanager
def resumed(config: TrainConfig) -> Iterator[LossLogger]:
    with LossLogger(config) as losses:
        losses.resume(FILLED_STEP)
        yield losses


def during_save(
    trainer: Trainer, config: TrainConfig, memory: Memory, first: int = 50
) -> tuple[list[float], list[float], float, float]:
    """Step times in ms from the request of the save to its end, those while the JSON grew, the seconds, and the MB."""
    steps = count(FILLED_STEP + 1)
    taken: list[float] = []
    while_written: list[float] = []
    with resumed(config) as losses:
        on_block(trainer, losses, steps, first, 2**31, memory)
        step = next(steps)
        done = threading.Event()
        if config.reporter == "inline":
            threading.Thread(target=lambda: losses.save_step(step).add_done_callback(lambda _: done.set())).start()
        else:
            losses.save_step(step).add_done_callback(lambda _: done.set())
        begun = time.perf_counter()
        while not done.is_set():
            growing = any(config.out_dir.glob(".*.json.*.tmp"))
            taken += on_block(trainer, losses, steps, 1, 2**31, memory)
            while_written += taken[-1:] if growing else []
        seconds = time.perf_counter() - begun
    return taken, while_written, seconds, config.report_path(step).stat().st_size / 1e6


@contextmanager
def busy_process() -> Iterator[None]:
    """A process of the same session that computes all the time with niceness 10: what its presence alone costs."""
    process = subprocess.Popen([sys.executable, "-c", "import os; os.nice(10)\nwhile True: sum(range(10_000))"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def while_saving(trainer: Trainer, folder: Path, items: int, repeats: int) -> tuple[list[dict[str, Any]], Memory]:
    process = TrainConfig(job_name="process", save_root=folder, loggers=["tensorboard"])
    thread = TrainConfig(job_name="thread", save_root=folder, loggers=["tensorboard"], reporter="inline")
    for config in (process, thread):
        config.records_dir.mkdir(parents=True)
        fill(RecordLog(config.records_dir), items)
    memory = Memory()
    off: defaultdict[str, list[list[float]]] = defaultdict(list)
    on: defaultdict[str, list[list[float]]] = defaultdict(list)
    about: dict[str, str] = {}
    for _ in range(repeats):
        for kind in ("a process that only computes", "reporter process", "thread of the trainer"):
            time.sleep(1)
            during: dict[str, list[float]]
            before = off_block(trainer, 600, Memory())
            if kind == "a process that only computes":
                with busy_process():
                    during = {kind: off_block(trainer, 1_200, Memory())}
                about[kind] = ""
            else:
                config = process if kind == "reporter process" else thread
                seen = memory if kind == "reporter process" else Memory()
                whole, growing, seconds, size = during_save(trainer, config, seen)
                during = {f"{kind}: the whole save": whole, f"{kind}: while the JSON grew": growing}
                about |= dict.fromkeys(during, f"{seconds:.1f} s, JSON {size:.0f} MB")
            after = off_block(trainer, 600, Memory())
            for name, steps in during.items():
                if steps:
                    off[name].append(before + after)
                    on[name].append(steps)
    return [ratio_row(name, off[name], on[name]) | {"save": about[name]} for name in on], memory


def main() -> None:
    options = arguments(__doc__)
    torch.set_num_threads(1)
    results = Results("training_loop", ["torch", "pyarrow", "duckdb", "msgspec", "tensorboard"], options)
    pairs, seconds = (2, 1.0) if options.quick else (5, 4.0)
    items, repeats = (50_000, 1) if options.quick else (1_000_000, 1)
    ratios, saves, sizes = [], [], []
    for milliseconds in (5.0, 10.0):
        trainer = Trainer(milliseconds)
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root)
            plain, memory = Memory(), Memory()
            off_block(trainer, 50, plain)
            blocks = everything_on(trainer, folder, pairs, seconds, memory)
            label = f"steps of {milliseconds:.0f} ms"
            ratios.append(ratio_row(f"{label}: off beside off", blocks["off"], blocks["control"]))
            ratios.append(ratio_row(f"{label}: on", blocks["off"], blocks["on"]))
            paged = everything_on(trainer, folder, pairs, seconds, Memory(), html=True)
            ratios.append(ratio_row(f"{label}: on, with the page", paged["off"], paged["on"]))
            rows, save_memory = while_saving(trainer, folder, items, repeats)
            saves += [row | {"logging": f"{label}, {row['logging']}"} for row in rows]
            sizes += [
                {"when": f"{label}: off", "trainer MB": plain.trainer, "reporter process MB": 0.0},
                {"when": f"{label}: on", "trainer MB": memory.trainer, "reporter process MB": memory.reporter},
                {
                    "when": f"{label}: while {items:,} items are saved",
                    "trainer MB": save_memory.trainer,
                    "reporter process MB": save_memory.reporter,
                },
            ]
    note = "Ratio: median and range over the pairs of blocks. Off beside off is what the machine alone does."
    results.table(f"Everything on, {pairs} pairs of blocks of {seconds:.0f} s", ratios, note)
    results.table(f"While a save step of {items:,} items is made, {repeats} repeats", saves, note)
    results.table("Highest resident memory", sizes)
    results.finish()


if __name__ == "__main__":
    main()
