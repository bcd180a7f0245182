"""``loss-logging evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console

from loss_logging.cli.console import JsonOption, TrainerOption, print_json
from loss_logging.cli.tables.report import print_report
from loss_logging.support.extras import require

__all__ = ["evaluate"]


def evaluate(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A YAML or JSON file; docs/evaluate.md has its keys.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Most lines per table.")] = 10,
    engine: Annotated[
        Literal["local", "ray"] | None, typer.Option(help="Where to compute; by default as CONFIG says.")
    ] = None,
    trainer: TrainerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find hard images and wrong captions with a trained diffusers pipeline: losses of a folder of captioned images.

    --json prints everything but the items, which loss-logging export has.

    \b
    Examples:
      loss-logging evaluate evaluate.yaml
      loss-logging evaluate evaluate.yaml --rows 40
      loss-logging evaluate evaluate.yaml --json | jq .worst.caption_mismatch
      loss-logging evaluate evaluate.yaml --engine ray
    """
    require("diffusers", "torch", "diffusers", "transformers", "PIL")
    from loss_logging.evaluation.config import EvaluateConfig, run_evaluation
    from loss_logging.reports.artifact import read_without_items

    settings = EvaluateConfig.from_file(config)
    if trainer is not None:
        settings = msgspec.structs.replace(
            settings, captions=msgspec.structs.replace(settings.captions, trainer=trainer)
        )
    report = run_evaluation(settings if engine is None else msgspec.structs.replace(settings, engine=engine))
    if as_json:
        print_json(read_without_items(Path(report.json_path or "")))
        return
    console = Console()
    print_report(report, console, rows)
    console.print(f"{report.json_path} and .csv", markup=False, highlight=False, soft_wrap=True)
