"""How long `log_batch` blocks its caller, beside other ways to keep the same losses.

    python -m benchmarks.log_batch [--quick] [--json FILE]

Every way gets the same batches: a (B,) CPU tensor of losses, and lists of B paths and captions that exist already.

- tight: one call after the other, while the recorder's thread competes for the interpreter.
- between steps: about 1 ms of torch work before every call, as in training; only the call is timed. With losses and
  timesteps, batches of more sizes, beside what a call costs that does nothing, and one that copies what it gets and
  checks nothing: no way through Python is faster.

The repeats of all ways alternate, so that a drift of the machine meets all of them. The last table counts the Python
objects that a call leaves behind on the caller's thread.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.table import Results, arguments, percentile
from loss_logging import LossLogger

ITEMS = 2_048


class Batch(NamedTuple):
    """B losses with what they belong to; ``timesteps`` may be None."""

    losses: torch.Tensor
    timesteps: torch.Tensor | None
    paths: list[str]
    datasets: list[str]
    captions: list[str]


class Way(NamedTuple):
    """A way to keep losses: ``log(step, batch)``, and ``settle()`` after each repeat, outside the timing."""

    name: str
    log: Callable[[int, Batch], object]
    settle: Callable[[], object]


def batches(size: int, kind: str) -> Callable[[int], Batch]:
    """A function from a step to its batch; ``kind`` is loss, loss + timesteps or loss from a graph."""
    paths = [f"/data/images/{i:06d}.png" for i in range(ITEMS)]
    captions = [f"a photo of the thing number {i} on a wooden table in the morning light" for i in range(ITEMS)]
    datasets = [f"dataset {i % 3}" for i in range(ITEMS)]
    scale = torch.ones((), requires_grad=kind == "loss from a graph")

    def batch(step: int) -> Batch:
        start = step * size % (ITEMS - size + 1)
        places = slice(start, start + size)
        timesteps = torch.rand(size) if kind == "loss + timesteps" else None
        return Batch(torch.rand(size) * scale, timesteps, paths[places], datasets[places], captions[places])

    return batch


@contextmanager
def loss_logging_way(folder: Path) -> Iterator[Way]:
    with LossLogger(job_name="bench", save_root=folder, loggers=[]) as losses:
        name = f"loss_logging {version('loss-logging')} log_batch"
        yield Way(name, through(losses), lambda: losses.save_step(2**31 - 1).result())


def through(losses: Any) -> Callable[[int, Batch], None]:
    def log(step: int, batch: Batch) -> None:
        losses.log_batch(
            step,
            batch.losses,
            paths=batch.paths,
            datasets=batch.datasets,
            captions=batch.captions,
            timesteps=batch.timesteps,
        )

    return log


class Bare:
    """What a call with such arguments costs, and, with ``kept``, what it costs to copy them without a check."""

    def __init__(self, kept: deque[Any] | None) -> None:
        self.kept = kept

    def log_batch(
        self,
        step: int,
        per_example: Any,
        *,
        paths: Any,
        datasets: Any,
        captions: Any,
        timesteps: Any = None,
        losses_empty: Any = None,
        components: Any = None,
        is_reg: Any = None,
        caption_dropped: Any = None,
        losses_rival: Any = None,
        rivals: Any = None,
    ) -> None:
        if self.kept is not None:
            figures, times = per_example.tolist(), timesteps.tolist()
            self.kept.append((step, figures, tuple(paths), tuple(datasets), tuple(captions), times))


def floors() -> list[Way]:
    kept: deque[Any] = deque()
    return [
        Way("a call of nothing", through(Bare(None)), lambda: None),
        Way("a call that copies and checks nothing", through(Bare(kept)), kept.clear),
    ]


@contextmanager
def item_dicts_way() -> Iterator[Way]:
    kept: list[dict[str, Any]] = []

    def log(step: int, batch: Batch) -> None:
        values = [x.item() for x in batch.losses]
        times = [None] * len(values) if batch.timesteps is None else [t.item() for t in batch.timesteps]
        for path, dataset, caption, loss, t in zip(
            batch.paths, batch.datasets, batch.captions, values, times, strict=True
        ):
            kept.append(
                {"step": step, "path": path, "dataset": dataset, "caption": caption, "loss": loss, "timestep": t}
            )

    yield Way("(a) x.item(), a dict per sample", log, kept.clear)


@contextmanager
def running_dicts_way() -> Iterator[Way]:
    items: dict[str, dict[str, dict[str, float]]] = {}

    def log(_step: int, batch: Batch) -> None:
        for path, dataset, loss in zip(batch.paths, batch.datasets, batch.losses.tolist(), strict=True):
            of_dataset = items.setdefault(dataset, {})
            item = of_dataset.get(path)
            if item is None:
                of_dataset[path] = {"count": 1, "sum": loss, "min": loss, "max": loss, "last": loss}
            else:
                item["count"] += 1
                item["sum"] += loss
                item["min"] = min(item["min"], loss)
                item["max"] = max(item["max"], loss)
                item["last"] = loss

    yield Way("(b) dict of dicts, updated per item", log, lambda: None)


@contextmanager
def sum_way() -> Iterator[Way]:
    total = torch.zeros(())

    def log(_step: int, batch: Batch) -> None:
        total.add_(batch.losses.detach().sum())

    yield Way("running sum in a tensor (knows no item)", log, lambda: None)


@contextmanager
def tensorboard_way(folder: Path) -> Iterator[Way]:
    from torch.utils.tensorboard import SummaryWriter

    with closing(SummaryWriter(str(folder / "tensorboard"))) as writer:
        yield Way(f"(c) tensorboard {version('tensorboard')} add_scalar per sample", scalars(writer), writer.flush)


@contextmanager
def tensorboardx_way(folder: Path) -> Iterator[Way]:
    from tensorboardX import SummaryWriter

    with closing(SummaryWriter(str(folder / "tensorboardX"))) as writer:
        yield Way(f"(c) tensorboardX {version('tensorboardX')} add_scalar per sample", scalars(writer), writer.flush)


def scalars(writer: Any) -> Callable[[int, Batch], None]:
    def log(step: int, batch: Batch) -> None:
        for path, loss in zip(batch.paths, batch.losses.tolist(), strict=True):
            writer.add_scalar(f"loss/{path}", loss, step)

    return log


@contextmanager
def wandb_way(folder: Path) -> Iterator[Way]:
    import wandb

    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    with wandb.init(project="bench", mode="offline", dir=folder, settings=settings) as run:

        def log(_step: int, batch: Batch) -> None:  # one row of B values a step: kinder than one row per sample
            run.log({f"loss/{path}": loss for path, loss in zip(batch.paths, batch.losses.tolist(), strict=True)})

        yield Way(f"(c) wandb {version('wandb')} offline, run.log of B scalars", log, lambda: None)


def timings(way: Way, batch: Callable[[int], Batch], calls: int, work: Callable[[], object], step: int) -> list[float]:
    """Microseconds that each of ``calls`` calls took."""
    made = [batch(step + i) for i in range(min(calls, 512))]
    taken = []
    for i in range(calls):
        work()
        start = time.perf_counter_ns()
        way.log(step + i, made[i % len(made)])
        taken.append((time.perf_counter_ns() - start) / 1_000)
    way.settle()
    return taken


def torch_work(milliseconds: float) -> Callable[[], object]:
    """A matrix product of about so long."""
    left, right = torch.rand(128, 256), torch.rand(256, 256)
    start = time.perf_counter()
    for _ in range(50):
        left @ right
    repeats = max(1, round(milliseconds / 1_000 / ((time.perf_counter() - start) / 50)))

    def work() -> None:
        for _ in range(repeats):
            left @ right

    return work


def row(name: str, repeats: list[list[float]], ours: list[list[float]]) -> dict[str, Any]:
    """Figures over all calls, and how the median moves between the repeats."""
    taken = [t for repeat in repeats for t in repeat]
    medians = [statistics.median(repeat) for repeat in repeats]
    reference = statistics.median(t for repeat in ours for t in repeat)
    return {
        "way": name,
        "median us": statistics.median(taken),
        "times ours": statistics.median(taken) / reference,
        "p99 us": percentile(taken, 99),
        "p99, medians": percentile(taken, 99) / statistics.median(taken),
        "p99.9 us": percentile(taken, 99.9),
        "max us": max(taken),
        "median us of each repeat, min..max": f"{min(medians):.3g}..{max(medians):.3g}",
        "calls": len(taken),
    }


def objects_per_call(way: Way, size: int) -> float:
    """Blocks of CPython's allocator that one call leaves behind: the median of several bursts of calls.

    A burst takes a millisecond, so the recorder's thread, awake every 250 ms, is in few of them.
    """
    calls = 100
    made = [batches(size, "loss")(i) for i in range(calls)]
    deltas = []
    for _ in range(9):
        before = sys.getallocatedblocks()
        for batch in made:
            way.log(2**30, batch)
        deltas.append((sys.getallocatedblocks() - before) / calls)
        way.settle()
    return statistics.median(deltas)


def main() -> None:
    options = arguments(__doc__)
    torch.set_num_threads(1)
    results = Results("log_batch", ["torch", "pyarrow", "numpy", "tensorboard", "tensorboardX", "wandb"], options)
    repeats = 2 if options.quick else 5
    tight_calls, spaced_calls = (200, 100) if options.quick else (5_000, 1_000)
    step = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = [loss_logging_way(folder), item_dicts_way(), running_dicts_way(), sum_way()]
        trackers = [tensorboard_way(folder), tensorboardx_way(folder), wandb_way(folder)]
        light = [stack.enter_context(way) for way in plain]
        heavy = [stack.enter_context(way) for way in trackers]
        for spacing, work, calls in [
            ("tight", lambda: None, tight_calls),
            ("between steps", torch_work(1.0), spaced_calls),
        ]:
            for kind in ("loss", "loss + timesteps", "loss from a graph"):
                by_size = (spacing, kind) == ("between steps", "loss + timesteps")
                ways = light + heavy if kind == "loss" else light + floors() if by_size else light
                for size in (1, 2, 4, 8, 16, 32) if by_size else (4, 32):
                    taken: dict[str, list[list[float]]] = {way.name: [] for way in ways}
                    for _ in range(repeats):
                        for way in ways:
                            n = calls // 10 if way in heavy else calls
                            taken[way.name].append(timings(way, batches(size, kind), n, work, step))
                            step += n
                    rows = [row(name, times, taken[light[0].name]) for name, times in taken.items()]
                    results.table(f"{spacing}, B = {size}, {kind}", rows)
        sizes = (4, 32, 512)
        objects = [
            {"way": way.name} | {f"B = {size}": objects_per_call(way, size) for size in sizes} for way in light[:2]
        ]
        results.table("Python objects left by one call", objects, "Blocks of sys.getallocatedblocks().")
    results.finish()


if __name__ == "__main__":
    main()
