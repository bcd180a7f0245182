"""What an evaluation of a diffusers pipeline takes: items a second at 16 draws, with the own and the empty caption.

    python -m benchmarks.evaluate [--quick] [--json FILE] [--beside CHECKOUT]

Two tiny pipelines on one thread, one like SDXL and one like Flux, whose models take little, so that what is around them
shows; images of 32 pixels a side. "Of it the model" is the share of the CPU time that passes in the denoiser's own
forward, which no other code around it can save. "One by one" asks for each draw of a batch by itself, as an engine that
computes them on several machines does: nothing is computed ahead. "A cache" keeps encodings in a folder, which is new
in each round: the first call writes them, the second reads them. Then images of 1024 pixels in files: CPU seconds of
all threads, and those of the thread that computes, which a second core leaves to wait for. With --beside, the first way
in another checkout by turns, each in a process of its own.
"""

from __future__ import annotations

import inspect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tests.integrations.trainers.tiny_pipelines import flux, stable_diffusion_xl

from benchmarks.table import Results, arguments
from loss_logging import evaluate_dataset
from loss_logging.captions.folder.read import CaptionedFile
from loss_logging.evaluation.image_batches import ImageBatches
from loss_logging.integrations.trainers.diffusers import PipelineLoss

BATCH, DRAWS = 4, 16
PIPELINES = {"like SDXL": stable_diffusion_xl, "like Flux": flux}


def batches(items: int) -> Iterator[dict[str, Any]]:
    """Images of noise, each with a caption of its own."""
    generator = torch.Generator().manual_seed(0)
    for start in range(0, items, BATCH):
        numbers = range(start, start + BATCH)
        yield {
            "paths": [f"{number}.png" for number in numbers],
            "captions": [f"number {number} of many" for number in numbers],
            "datasets": "d",
            "pixel_values": torch.rand(BATCH, 3, 32, 32, generator=generator) * 2 - 1,
        }


def one_by_one(compute: PipelineLoss) -> Callable[..., Any]:
    """The same function for batches that come anew for each draw."""
    return lambda batch, draw: compute({**batch, "pixel_values": batch["pixel_values"].clone()}, draw)


def evaluated(function: Callable[..., Any], loader: Any, draws: int = DRAWS) -> dict[str, float]:
    """Seconds of an evaluation: on the clock, of all threads' CPU time and of this thread's."""
    clocks = {"wall": time.perf_counter, "CPU": time.process_time, "thread": time.thread_time}
    start = {name: clock() for name, clock in clocks.items()}
    evaluate_dataset(function, loader, draws=draws, paired=True, progress=False)
    return {name: clock() - start[name] for name, clock in clocks.items()}


def spread(values: list[float]) -> str:
    return f"{min(values):.3g}..{max(values):.3g}"


def ways(results: Results, items: int, rounds: int) -> None:
    from loss_logging.evaluation.tensor_cache import TensorCache  # which earlier checkouts lack

    rows = []
    for name, make in PIPELINES.items():
        pipeline = make()
        compute = PipelineLoss(pipeline, paired=True)
        evaluated(compute, batches(BATCH))  # warms up
        model = timed_forwards(compute)
        took: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                cache = TensorCache(Path(folder), 10**9)
                functions: dict[str, Callable[..., Any]] = {
                    "as it is": compute,
                    "one by one": one_by_one(compute),
                    "a cache, first call": PipelineLoss(pipeline, paired=True, cache=cache),
                    "a cache, second call": PipelineLoss(pipeline, paired=True, cache=cache),
                }
                for way, function in functions.items():
                    model.clear()
                    took[way].append(evaluated(function, batches(items)) | {"model": sum(model)})
        for way, seconds in took.items():
            a_second = [items / one["CPU"] for one in seconds]
            rows.append(
                {
                    "pipeline": name,
                    "way": way,
                    "items a CPU s (median)": statistics.median(a_second),
                    "min..max": spread(a_second),
                    "items a s of wall": spread([items / one["wall"] for one in seconds]),
                    "of it the model": statistics.median(one["model"] / one["CPU"] for one in seconds),
                }
            )
    results.table(f"{items} items, {DRAWS} draws, own and empty caption", rows)


def timed_forwards(compute: PipelineLoss) -> list[float]:
    """CPU seconds of each forward of the denoiser from now on."""
    denoiser, seconds = compute._family.denoiser, []
    forward = denoiser.forward

    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.thread_time()
        predicted = forward(*arguments, **options)
        seconds.append(time.thread_time() - start)
        return predicted

    denoiser.forward = timed
    return seconds


def from_files(results: Results, items: int, rounds: int) -> None:
    """Images of 1024 pixels a side in JPEG files, and a model of 64."""
    rows = []
    compute = PipelineLoss(stable_diffusion_xl(), paired=True)
    with tempfile.TemporaryDirectory() as folder:
        files, chance = [], np.random.default_rng(0)
        for number in range(items):
            path = Path(folder, f"{number}.jpg")
            small = Image.fromarray(chance.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            small.resize((1024, 1024), Image.Resampling.BICUBIC).save(path, quality=92)
            files.append(CaptionedFile(str(path), "d", f"number {number} of many"))
        for draws in (4, DRAWS):
            took = [evaluated(compute, ImageBatches(files, Path(folder), 64, BATCH), draws) for _ in range(1 + rounds)][
                1:
            ]
            every, own = ([items / one[clock] for one in took] for clock in ("CPU", "thread"))
            rows.append(
                {
                    "draws": draws,
                    "items a CPU s (median)": statistics.median(every),
                    "of all threads": spread(every),
                    "of the thread that computes (median)": statistics.median(own),
                    "min..max": spread(own),
                    "items a s of wall": spread([items / one["wall"] for one in took]),
                }
            )
    results.table(f"{items} images from files, like SDXL", rows)


RATE_OF_A_CHECKOUT = """
import sys, time, torch
from tests.integrations.trainers import tiny_pipelines
from loss_logging import evaluate_dataset
from loss_logging.integrations.trainers.diffusers import PipelineLoss
torch.set_num_threads(1)
compute = PipelineLoss(getattr(tiny_pipelines, sys.argv[1])(), paired=True)
for items in (BATCH, int(sys.argv[2])):
    start = time.process_time()
    evaluate_dataset(compute, batches(items), draws=DRAWS, paired=True, progress=False)
print(items / (time.process_time() - start))
"""
"""Follows `batches`; uses only names that earlier checkouts have."""


def two_checkouts(results: Results, other: Path, items: int, rounds: int) -> None:
    code = f"from __future__ import annotations\nBATCH, DRAWS = {BATCH}, {DRAWS}\n"
    code += inspect.getsource(batches) + RATE_OF_A_CHECKOUT
    here = Path(__file__).resolve().parents[1]
    rows = []
    for name, make in PIPELINES.items():
        rates: dict[Path, list[float]] = {here: [], other: []}
        for _ in range(rounds):
            for checkout, found in rates.items():
                command = [sys.executable, "-c", code, make.__name__, str(items)]
                environment = os.environ | {"PYTHONPATH": str(checkout)}
                done = subprocess.run(
                    command, cwd=checkout, env=environment, check=True, capture_output=True, text=True
                )
                found.append(float(done.stdout.splitlines()[-1]))
        this, that = rates[here], rates[other]
        rows.append(
            {
                "pipeline": name,
                "here (median)": statistics.median(this),
                "min..max": spread(this),
                "there (median)": statistics.median(that),
                "its min..max": spread(that),
                "ratio": statistics.median(this) / statistics.median(that),
            }
        )
    results.table(f"items a CPU second beside {other}", rows)


def main() -> None:
    options = arguments(__doc__, beside="the first way in another checkout")
    results = Results("evaluate", ["torch", "diffusers"], options)
    torch.set_num_threads(1)
    items, rounds = (8, 1) if options.quick else (20, 3)
    ways(results, items, rounds)
    from_files(results, 8, rounds)
    if options.beside:
        two_checkouts(results, options.beside.absolute(), 2 * items, rounds)
    results.finish()


if __name__ == "__main__":
    main()
