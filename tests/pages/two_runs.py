"""Two evaluations of the same pictures: before and after some of their captions were corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from loss_logging import evaluate_dataset
from loss_logging.evaluation.draw import Draw
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.paths import RunPaths

COLOURS = {"red": "#c0392b", "green": "#2e8b57", "blue": "#2c6fbb", "yellow": "#e0b000"}
SHAPES = ("circle", "square")
N = 96


def pictures(folder: Path) -> dict[str, str]:
    """A picture of each, by its path, with what is in it."""
    folder.mkdir(parents=True)
    found = {}
    for i in range(N):
        colour, shape = list(COLOURS)[i % 4], SHAPES[i % 2]
        image = Image.new("RGB", (96, 72), "#f2efe9")
        draw = ImageDraw.Draw(image)
        box = (20 + i % 9, 10 + i % 7, 66 + i % 9, 56 + i % 7)
        (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=COLOURS[colour])
        path = folder / f"{i:03}.png"
        image.save(path)
        found[str(path)] = f"a {colour} {shape} on a pale table, number {i}"
    return found


def write_two_runs(root: Path) -> tuple[Path, Path]:
    """The reports: the first 8 captions are another picture's before, and right afterwards; 4 images got harder."""
    right = pictures(root / "images")
    paths = list(right)
    wrong = right | {paths[i]: right[paths[(i + 1) % 8]] for i in range(8)}
    reports = []
    for name, captions in (("before", wrong), ("after", right)):
        rng = np.random.default_rng(5)
        base = rng.gamma(30, 0.012, N) * (1 + 0.2 * (np.arange(N) % 3))
        if name == "after":
            base *= np.where(np.arange(N) % 12 == 9, 1.6, 0.94)
        config = TrainConfig(job_name="shapes", save_root=root / name, loggers=[], timestep_scale=1, top_k=20)

        def compute(batch: dict[str, list[str]], draw: Draw, base: Any = base) -> list[dict[str, Any]]:
            rows = []
            for path, caption in zip(batch["paths"], batch["captions"], strict=True):
                i = paths.index(path)
                t = float(draw.timesteps([Path(path).name])[0])
                noise = float(draw.noise((1,), [Path(path).name])[0, 0])
                empty = float(base[i] * (1.4 - t) * np.exp(0.08 * noise))
                gain = 1.25 if caption != right[path] else 0.8
                rows.append(
                    {
                        "path": path,
                        "dataset": "circles" if i % 2 == 0 else "squares",
                        "caption": caption,
                        "loss": empty * gain * np.exp(0.03 * np.sin(37 * i + 11 * t)),
                        "loss_empty": empty,
                        "timestep": t,
                    }
                )
            return rows

        batch = {"paths": paths, "captions": [captions[path] for path in paths]}
        evaluate_dataset(compute, [batch], draws=16, paired=True, config=config, job_name="shapes", progress=False)
        reports.append(RunPaths(root / name, "shapes").report(0))
    return reports[0], reports[1]
