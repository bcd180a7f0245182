"""A small run with pictures, faults and hostile texts, as a trainer would leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from loss_logging import LossLogger

HOSTILE = {
    "script": "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    "end of script": "</script><!--<script>window.hacked = 1</script>",
    "quotes": "\"'`><svg onload=window.hacked=1> {{ 7*7 }} {% raw %} &lt; \\u0000",
    "right to left": "שלום \u202eevil\u202c עולם",
    "megabyte": "word " * 200_000,
    "link": "javascript:window.hacked=1 https://example.org/track.png ![](https://example.org/x.png)",
}
"""Captions that mean harm, by what they try."""


def images(folder: Path, n: int) -> list[Path]:
    """``n`` small pictures; number 1 is missing, 2 is broken, 3 is a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04d}.png" for i in range(n)]
    rng = np.random.default_rng(0)
    for path in paths:
        if path.is_dir():
            continue
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).save(path)
    paths[1].unlink()
    paths[2].write_bytes(b"\x89PNG\r\n\x1a\n broken")
    if paths[3].is_file():
        paths[3].unlink()
        paths[3].mkdir()
    return paths


def write_run(root: Path, *, steps: tuple[int, ...] = (10, 20, 30), **options: Any) -> None:
    """Train for the last of ``steps`` and save at each: 120 items of 3 datasets, the first few of them the worst."""
    rng = np.random.default_rng(1)
    paths = [*map(str, images(root / "images", 117)), "https://example.org/a.png", "../outside.png", "=cmd()"]
    captions = [f"a photograph of thing number {i} on a table" for i in range(len(paths))]
    captions[4:10] = list(HOSTILE.values())
    captions[10:12] = ["", "untitled"]
    datasets = [("cats", "dogs", "<b>birds</b> \"'&")[i % 3] for i in range(len(paths))]
    hard = np.where(np.arange(len(paths)) < 12, 2.0, 0.0)
    given = {"job_name": "job", "save_root": root, "loggers": [], "reporter": "inline", "save_every": 10, "top_k": 14}
    with LossLogger(**given | options) as losses:
        for step in range(1, steps[-1] + 1):
            loss = (rng.gamma(4, 0.1, len(paths)) + hard) / np.sqrt(step)
            losses.log_batch(
                step,
                loss,
                paths=paths,
                datasets=datasets,
                captions=captions,
                timesteps=rng.random(len(paths)),
                losses_empty=loss * np.where(np.arange(len(paths)) < 14, 0.8, 1.1) if step % 3 == 0 else None,
            )
            if step in steps:
                losses.save_step(step).result(60)
