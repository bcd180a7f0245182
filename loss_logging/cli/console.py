"""Options and output that the commands share: results go to standard output, all other text to standard error."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer

__all__ = ["JobOption", "JsonOption", "TrainerOption", "hint", "print_json"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
TrainerOption = Annotated[
    Literal["kohya", "musubi", "ai-toolkit", "onetrainer", "diffusion-pipe", "simpletuner", "diffusers"] | None,
    typer.Option(help="Read captions as this trainer does."),
]
JobOption = Annotated[
    str | None, typer.Option(help="Job, if a folder holds several. Default: the job that was written last.")
]


def print_json(value: Any) -> None:
    """Print ``value`` as JSON, indented in a terminal."""
    import msgspec

    text = msgspec.json.encode(value)
    print((msgspec.json.format(text) if sys.stdout.isatty() else text).decode())


def hint(sentence: str, style: str = "") -> None:
    """Print a sentence about the result to standard error."""
    from rich.console import Console
    from rich.text import Text

    from loss_logging.cli.tables.report import cell

    Console(stderr=True).print(Text(cell(sentence, 1_000), style=style), soft_wrap=True)
