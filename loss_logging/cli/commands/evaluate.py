"""``loss-logging evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from loss_logging.cli.console import JsonOption, TrainerOption, print_json
from loss_logging.support.extras import require

__all__ = ["evaluate"]


def evaluate(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A YAML or JSON file; docs/evaluate.md has its keys.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Most lines per table.")] = 10,
    engine: Annotated[
        str | None,
        typer.Option(help="Where to compute: local, ray, or another engine that is installed; else as CONFIG says."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="An option of the engine, such as actors=8; repeatable."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="changed|excluded|FILE",
            help="Compute again only what has another caption than in the last report, what a decision excludes, or "
            "the paths in a file, one a line; the figures of the others are kept.",
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Keep encodings of captions and images there, for the next evaluation; else as CONFIG says.",
        ),
    ] = None,
    trainer: TrainerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find hard images and wrong captions with a trained pipeline: losses of a folder of captioned images.

    --json prints everything but the items, which loss-logging export has.

    \b
    Examples:
      loss-logging evaluate evaluate.yaml
      loss-logging evaluate evaluate.yaml --rows 40
      loss-logging evaluate evaluate.yaml --only changed
      loss-logging evaluate evaluate.yaml --cache ~/.cache/encodings
      loss-logging evaluate evaluate.yaml --json | jq .worst.caption_mismatch
      loss-logging evaluate evaluate.yaml --engine ray --option actors=8 --option num_gpus=1
    """
    import msgspec
    from rich.console import Console

    from loss_logging.cli.tables.report import print_report
    from loss_logging.evaluation.again import read_paths
    from loss_logging.evaluation.config import EvaluateConfig, run_evaluation
    from loss_logging.reports.artifact import read_without_items

    settings = EvaluateConfig.from_file(config)
    if settings.model.library == "diffusers":
        require("diffusers", "torch", "diffusers", "transformers", "PIL")
    if trainer is not None:
        settings = msgspec.structs.replace(
            settings, captions=msgspec.structs.replace(settings.captions, trainer=trainer)
        )
    changes: dict[str, Any] = {} if engine is None else {"engine": engine}
    if cache is not None:
        changes["cache"] = cache
    if option:
        changes["engine_options"] = settings.engine_options | dict(map(_key_and_value, option))
    part = only if only in (None, "changed", "excluded") else read_paths(Path(only))
    report = run_evaluation(msgspec.structs.replace(settings, **changes), only=part)
    if as_json:
        print_json(read_without_items(Path(report.json_path or "")))
        return
    console = Console()
    print_report(report, console, rows)
    console.print(f"{report.json_path} and .csv", markup=False, highlight=False, soft_wrap=True)


def _key_and_value(option: str) -> tuple[str, Any]:
    """
    >>> _key_and_value("actors=8"), _key_and_value("address=head:6379")
    (('actors', 8), ('address', 'head:6379'))
    """
    import msgspec

    key, equals, value = option.partition("=")
    if not key or not equals:
        raise typer.BadParameter(f"got {option!r}; allowed: KEY=VALUE, such as actors=8", param_hint="--option")
    try:
        return key, msgspec.json.decode(value)
    except msgspec.DecodeError:  # a word
        return key, value
