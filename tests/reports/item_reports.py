"""Runs whose reports say how every item did, made by the real reporter from losses that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from loss_logging import LossLogger
from loss_logging.cli.tables.comparison import print_comparison
from loss_logging.reports.compare import Comparison

Losses = Mapping[tuple[str, str], Sequence[float]]
"""The losses of each item, (dataset, path), in the order of their steps."""


def save(
    folder: Path, saves: Sequence[Losses], *, captions: Mapping[str, str] | None = None, job: str = "job", **config: Any
) -> list[Path]:
    """The reports of a run that saves after each of ``saves``, with one step for each loss of an item."""
    captions = captions or {}
    paths: list[Path] = []
    step = 0
    with LossLogger(job_name=job, save_root=folder, loggers=[], reporter="inline", **config) as losses:
        for save in saves:
            most = max(map(len, save.values()))
            for i in range(most):
                step += 1
                records = [
                    {
                        "path": path,
                        "dataset": dataset,
                        "caption": captions.get(path, f"a picture of {Path(path).stem}"),
                        "loss": values[i],
                    }
                    for (dataset, path), values in save.items()
                    if i < len(values)
                ]
                losses.log_records(step, records)
            path = losses.save_step(step).result()
            assert path is not None
            paths.append(path)
    return paths


def save_pairs(folder: Path, *, wrong: int, items: int, pairs: int = 8, **config: Any) -> Path:
    """The report of a run with the loss of the empty caption in every record, of items ``000.png`` and so on in two
    datasets; the captions of the first so many hurt."""
    rng = np.random.default_rng(0)
    gains = np.where(np.arange(items) < wrong, 0.5, -0.2)
    names = [f"{i:03}.png" for i in range(items)]
    with LossLogger(job_name="job", save_root=folder, reporter="inline", **{"loggers": []} | config) as losses:
        for step in range(1, pairs + 1):
            losses.log_batch(
                step,
                1 + gains + 0.1 * rng.normal(size=items),
                paths=names,
                datasets=["cats" if i % 2 else "dogs" for i in range(items)],
                captions=[f"a picture of number {i}" for i in range(items)],
                losses_empty=np.ones(items),
            )
        path = losses.save_step(pairs).result()
    assert path is not None
    return path


def printed(comparison: Comparison, width: int = 160) -> str:
    text = StringIO()
    print_comparison(comparison, Console(file=text, width=width))
    return text.getvalue()
