"""``loss-logging evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loss_logging.cli import require
from loss_logging.show import print_report

__all__ = ["evaluate"]


def evaluate(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A YAML or JSON file; docs/evaluate.md has its keys.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Most lines per table.")] = 10,
) -> None:
    """Find hard images and wrong captions with a trained diffusers pipeline: losses of a folder of captioned images.

    \b
    Examples:
      loss-logging evaluate evaluate.yaml
      loss-logging evaluate evaluate.yaml --rows 40
    """
    require("diffusers", "torch", "diffusers", "transformers", "PIL")
    from loss_logging.evaluate_config import EvaluateConfig, run_evaluation

    report = run_evaluation(EvaluateConfig.from_file(config))
    console = Console()
    print_report(report, console, rows)
    console.print(f"{report.json_path} and .csv", markup=False, highlight=False, soft_wrap=True)
