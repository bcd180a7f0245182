"""``loss-logging demo``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JsonOption, print_json
from loss_logging.support.extras import require

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("runs/demo"),
    loggers: Annotated[
        str, typer.Option(help="tensorboard, wandb (offline), or both: tensorboard,wandb.")
    ] = "tensorboard",
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data, faults and training.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a small captioned model on digits with planted faults in under a minute, and show the faults that it found.

    \b
    Examples:
      loss-logging demo
      loss-logging demo --out runs/demo --loggers tensorboard,wandb
    """
    from rich.console import Console

    require("demo", "torch", "sklearn", "PIL")
    from loss_logging.trackers.backends import select_backends

    names = [name.strip() for name in loggers.split(",") if name.strip()]
    select_backends(names)  # report a typo before torch is imported
    from loss_logging.cli.demo.run import run

    found = run(out, names, steps, seed, None if as_json else Console())
    if as_json:
        print_json(found)
