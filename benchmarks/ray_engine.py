"""One and two Ray actors beside the local engine, on the same work.

    python -m benchmarks.ray_engine [--quick] [--json FILE]

The compute function sleeps as long as a forward on an accelerator would take, so that two actors need no second one.
Shown are the time from the call to the first batch (actors that start), what a batch takes from there to the end of the
last one, and the whole call with its report. Ray runs already; the seconds that starting it takes are shown, too.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data

from benchmarks.table import Results, arguments
from loss_logging import evaluate_dataset
from loss_logging.evaluation.ray_config import RayConfig

BATCH = 16


class Sleeps:
    """A model that takes ``seconds`` for each batch, and notes in a file when it began and ended each."""

    def __init__(self, seconds: float, notes: Path) -> None:
        self.seconds = seconds
        self.notes = notes

    def __call__(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        begun = time.time()
        time.sleep(self.seconds)
        with self.notes.open("a") as file:
            file.write(f"{begun} {time.time()}\n")
        return [{"path": path, "dataset": "d", "caption": "a photo", "loss": 0.5} for path in batch["path"]]


def evaluate(seconds: float, batches: int, actors: int) -> tuple[float, float, float]:
    """Seconds to the first batch, from there to the end of the last one, and to the report. No actors: locally."""
    paths = [f"{i:06}.png" for i in range(batches * BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        compute = partial(Sleeps, seconds, Path(folder) / "notes")
        start = time.time()
        if actors:
            loader: Any = ray.data.from_arrow(pa.table({"path": paths}))
            engine: Any = RayConfig(actors=actors, num_cpus=0.5, batch_size=BATCH)
        else:
            loader = [{"path": paths[i : i + BATCH]} for i in range(0, len(paths), BATCH)]
            engine = "local"
        report = evaluate_dataset(compute, loader, save_root=folder, engine=engine, progress=False)
        whole = time.time() - start
        assert report.global_.count == len(paths)
        times = np.array([line.split() for line in compute.args[1].read_text().splitlines()], dtype=float)
    return times[:, 0].min() - start, times[:, 1].max() - times[:, 0].min(), whole


def main() -> None:
    options = arguments(__doc__)
    results = Results("ray_engine", ["ray", "pyarrow"], options)
    start = time.perf_counter()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
    started = time.perf_counter() - start
    evaluate(0, 4, 2)  # the worker processes import what they need
    for seconds, batches in ((0.0, 16), (0.05, 16)) if options.quick else ((0.0, 1_000), (0.25, 160)):
        rows: list[dict[str, Any]] = []
        for name, actors in (("local", 0), ("Ray, 1 actor", 1), ("Ray, 2 actors", 2)):
            first, span, whole = evaluate(seconds, batches, actors)
            rows.append(
                {
                    "engine": name,
                    "first batch after s": first,
                    "ms a batch": span / batches * 1_000,
                    "more than the work, ms": (span / batches - seconds / max(actors, 1)) * 1_000,
                    "times local": rows[0]["ms a batch"] / (span / batches * 1_000) if rows else 1.0,
                    "whole call s": whole,
                }
            )
        title = f"{batches} batches of {BATCH}, {seconds * 1_000:g} ms of work in each"
        results.table(title, rows, f"starting Ray took {started:.1f} s more")
    ray.shutdown()
    results.finish()


if __name__ == "__main__":
    main()
