"""The reporter process of a small run, as a guest beside a training: its memory, and the CPU of a save step.

    python -m benchmarks.reporter [--quick] [--json FILE] [--beside CHECKOUT]

A run of 200 items writes five shards, 250 steps in all, before each save step, as a training of 5 ms steps does. The
reporter is the process of a training, with the report page and without. Its CPU is that from a save step's notices to
the page; the first save step pays for what is loaded, and is a column of its own. "Shared" is what other processes have
mapped, too, such as the code of Arrow and NumPy in the trainer's. With --beside, the same of another checkout of
loss_logging, such as an earlier commit, by turns with this one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.table import Results, arguments

GUEST = """
import json, sys, tempfile, time
from pathlib import Path
import psutil
from loss_logging import LossLogger, TrainConfig
saves, html = int(sys.argv[1]), sys.argv[2] == "page"
names = [f"/data/images/set-{i % 3}/{i:06d}.png" for i in range(200)]
captions = [f"a photo of the thing number {i} on a wooden table in the morning light" for i in range(200)]
def cpu():
    times = guest.cpu_times()
    return times.user + times.system
with tempfile.TemporaryDirectory() as folder:
    config = TrainConfig(job_name="guest", save_root=folder, loggers=[], html=html)
    taken, step, begun, page = [], 0, 0.0, 0
    def written():
        return config.page_path.stat().st_mtime_ns if config.page_path.exists() else 0
    with LossLogger(config) as losses:
        for save in range(saves):
            for _ in range(5):
                for step in range(step + 1, step + 51):
                    chosen = [(7 * step + 31 * k) % 200 for k in range(8)]
                    losses.log_batch(
                        step,
                        [0.1 + (i * step % 97) / 97 for i in chosen],
                        timesteps=[(step * 13 + i * 29) % 100 / 100 for i in chosen],
                        paths=[names[i] for i in chosen],
                        datasets=[f"set-{i % 3}" for i in chosen],
                        captions=[captions[i] for i in chosen],
                    )
                time.sleep(0.26)
            losses.save_step(step).result()
            (guest,) = psutil.Process().children()
            while html and written() == page:
                time.sleep(0.01)
            page = written()
            taken.append(cpu() - begun)
            begun = cpu()
        memory = guest.memory_full_info()
        time.sleep(2)
        idle = guest.memory_info().rss
found = {"rss": memory.rss, "shared": memory.rss - memory.uss, "idle": idle}
print(json.dumps({"cpu": taken} | {name: size / 1e6 for name, size in found.items()}))
"""
"""Uses only names that earlier checkouts have."""


def measured(checkout: Path, saves: int, kind: str) -> dict[str, Any]:
    """What a fresh trainer of the checkout says of its reporter."""
    command = [sys.executable, "-c", GUEST, str(saves), kind]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    options = arguments(__doc__, beside="the reporter of another checkout")
    results = Results("reporter", ["duckdb", "pyarrow", "numpy"], options)
    checkouts = {"this": Path(__file__).resolve().parents[1]}
    if options.beside:
        checkouts["the other"] = options.beside.absolute()
    saves, repeats = (2, 1) if options.quick else (8, 3)
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(repeats):
        for kind in ("page", "no page"):
            for name, checkout in checkouts.items():
                runs.setdefault((kind, name), []).append(measured(checkout, saves, kind))
    rows = []
    for (kind, name), found in runs.items():
        later = [seconds for run in found for seconds in run["cpu"][1:]]
        rows.append(
            {
                "checkout": name,
                "page": kind,
                "first save CPU s": statistics.median(run["cpu"][0] for run in found),
                "save CPU s (median)": statistics.median(later),
                "min..max": f"{min(later):.2f}..{max(later):.2f}",
                "resident MB": statistics.median(run["rss"] for run in found),
                "2 s later MB": statistics.median(run["idle"] for run in found),
                "of it shared MB": statistics.median(run["shared"] for run in found),
            }
        )
    results.table(f"200 items, {saves} save steps, {repeats} runs by turns", rows)
    results.finish()


if __name__ == "__main__":
    main()
