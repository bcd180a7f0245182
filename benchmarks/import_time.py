"""How long `import loss_logging` and two commands take in a fresh interpreter, and what a logger that is off costs.

    python -m benchmarks.import_time [--quick] [--json FILE]

Each line is its own interpreter, several times in turn: the seconds of the import statement, the modules that it loads
and the memory that it adds. Commands are whole processes; the time of the processor is steadier than that of the clock.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.table import Results, arguments

STATEMENTS = {
    "nothing": "pass",
    f"loss_logging {version('loss-logging')}": "import loss_logging",
    "loss_logging's LossLogger and TrainConfig": "from loss_logging import LossLogger, TrainConfig",
    "loss_logging, every public name": "from loss_logging import *",
    f"numpy {version('numpy')}": "import numpy",
    f"pyarrow {version('pyarrow')}": "import pyarrow",
    f"duckdb {version('duckdb')}": "import duckdb",
    f"torch {version('torch')}": "import torch",
    f"torch {version('torch')} SummaryWriter": "from torch.utils.tensorboard import SummaryWriter",
    f"tensorboardX {version('tensorboardX')} SummaryWriter": "from tensorboardX import SummaryWriter",
    f"wandb {version('wandb')}": "import wandb",
}

MEASURE = """
import json, resource, sys, time
modules, memory = len(sys.modules), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
print(json.dumps({{"seconds": seconds, "modules": len(sys.modules) - modules, "mb": memory}}))
"""

OFF = """
import json, pathlib, sys, threading, time
from loss_logging import LossLogger
root = pathlib.Path({root!r})
threads, modules = threading.active_count(), set(sys.modules)
losses = LossLogger(job_name="off", save_root=root, loggers={loggers!r}, log_per_example={on}, log_per_dataset={on})
names = ["a.png", "b.png"]
losses.log_batch(0, [0.1, 0.2], paths=names, datasets="d", captions=names)
start = time.perf_counter_ns()
for step in range(1, 1001):
    losses.log_batch(step, [0.1, 0.2], paths=names, datasets="d", captions=names)
each = (time.perf_counter_ns() - start) / 1_000_000
losses.save_step(1000).result()
added = threading.active_count() - threads
losses.close()
print(json.dumps({{
    "threads": added,
    "files": sum(path.is_file() for path in root.rglob("*")),
    "trackers and torch loaded": sorted({{"torch", "wandb", "tensorboard", "tensorboardX"}} & set(sys.modules)),
    "DuckDB loaded": "duckdb" in sys.modules,
    "us per log_batch": each,
}}))
"""


def run(code: str) -> dict[str, Any]:
    """What the last line printed by a fresh interpreter says."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


COMMAND = "import sys; from loss_logging.cli import main; sys.argv[0] = 'loss-logging'; main()"


def commands(repeats: int) -> list[dict[str, Any]]:
    """What the interpreter, the help and the check of ten captions take, each as a process."""
    with tempfile.TemporaryDirectory() as folder:
        for i in range(10):
            Path(folder, f"{i}.png").write_bytes(b"%d" % i)
            Path(folder, f"{i}.txt").write_text(f"a red cat sits beside {i} white dogs in the snow", "utf-8")
        ways = {
            "python": ["pass"],
            "loss-logging --help": [COMMAND, "--help"],
            "loss-logging check-captions, 10 captions": [COMMAND, "check-captions", folder],
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(repeats + 1):  # the first round fills the caches of the disk
            for name, way in ways.items():
                before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run([sys.executable, "-c", *way], capture_output=True, check=True)
                wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
                taken[name].append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall))
    rows = []
    for name, repeated in taken.items():
        processor, wall = ([one[i] for one in repeated[1:]] for i in (0, 1))
        rows.append(
            {"command": name, "CPU s": statistics.median(processor)}
            | {"min..max CPU s": f"{min(processor):.3f}..{max(processor):.3f}", "wall s": statistics.median(wall)}
        )
    return rows


def main() -> None:
    options = arguments(__doc__)
    results = Results("import_time", [], options)
    repeats = 2 if options.quick else 10
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in STATEMENTS}
    for i in range(repeats + 1):  # the first round fills the caches of the disk
        for name, statement in STATEMENTS.items():
            figures = run(MEASURE.format(statement=statement))
            if i > 0:
                found[name].append(figures)
    rows = []
    for name, repeated in found.items():
        seconds = [figures["seconds"] for figures in repeated]
        rows.append(
            {
                "import": name,
                "median s": statistics.median(seconds),
                "min..max s": f"{min(seconds):.3f}..{max(seconds):.3f}",
                "modules": repeated[0]["modules"],
                "MB": statistics.median(figures["mb"] for figures in repeated),
            }
        )
    results.table(f"Imports, {repeats} fresh interpreters each", rows)
    results.table(f"Commands, {repeats} processes each", commands(repeats))
    offs = []
    for name, on, loggers in [("off", False, ["tensorboard", "wandb"]), ("on, reporter process", True, [])]:
        with tempfile.TemporaryDirectory() as root:
            offs.append({"logging": name} | run(OFF.format(root=root, on=on, loggers=loggers)))
    results.table("Off means off: 1001 batches of 2 and a save step", offs)
    results.finish()


if __name__ == "__main__":
    main()
