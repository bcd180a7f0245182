"""What an evaluation of a diffusers pipeline takes: items a second at 16 draws, with the own and the empty caption.

    python -m benchmarks.evaluate [--quick] [--json FILE]

Two tiny pipelines on one thread, one like SDXL and one like Flux, whose models take little, so that what is around them
shows; images of 32 pixels a side. The time of the processor counts. "One by one" asks for each draw of a batch by
itself, as an engine that computes them on several machines does: nothing is computed ahead. "A cache" keeps encodings
in a folder, which is new in each round: the first call writes them, the second reads them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tests.integrations.trainers.tiny_pipelines import flux, stable_diffusion_xl

from benchmarks.table import Results, arguments
from loss_logging import evaluate_dataset
from loss_logging.evaluation.tensor_cache import TensorCache
from loss_logging.integrations.trainers.diffusers import PipelineLoss

BATCH, DRAWS = 4, 16


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


def main() -> None:
    options = arguments(__doc__)
    results = Results("evaluate", ["torch", "diffusers"], options)
    torch.set_num_threads(1)
    items = 8 if options.quick else 64
    rows = []
    for name, make in (("like SDXL", stable_diffusion_xl), ("like Flux", flux)):
        pipeline = make()
        compute = PipelineLoss(pipeline, paired=True)
        for round_ in range(2 if options.quick else 4):  # the first warms up
            with tempfile.TemporaryDirectory() as folder:
                cache = TensorCache(Path(folder), 10**9)
                ways: dict[str, Callable[..., Any]] = {
                    "as it is": compute,
                    "one by one": one_by_one(compute),
                    "a cache, first call": PipelineLoss(pipeline, paired=True, cache=cache),
                    "a cache, second call": PipelineLoss(pipeline, paired=True, cache=cache),
                }
                for way, function in ways.items():
                    start = time.process_time()
                    evaluate_dataset(function, batches(items), draws=DRAWS, paired=True, progress=False)
                    if round_:
                        rows.append(
                            {"pipeline": name, "way": way, "items a CPU second": items / (time.process_time() - start)}
                        )
    results.table(f"{items} items, {DRAWS} draws, own and empty caption", rows)
    results.finish()


if __name__ == "__main__":
    main()
