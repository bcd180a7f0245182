"""``loss-logging doctor``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from loss_logging.cli.console import JsonOption, print_json
from loss_logging.errors import LossLoggingError

__all__ = ["doctor"]

_MARKS = {True: ("ok", "green"), False: ("no", "red"), None: ("  ", "")}


def doctor(
    config: Annotated[Path | None, typer.Option(help="A configuration whose loggers and folder to try.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to try; the configuration's, or the current one.")] = None,
    loggers: Annotated[str | None, typer.Option(help="Loggers to try by name: tensorboard,trackio.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, whether the folder can be written, and whether each tracker takes a report.

    A small report named loss-logging-doctor is sent to each logger that is tried; nothing stays in the folder.

    \b
    Examples:
      loss-logging doctor --loggers tensorboard
      loss-logging doctor --config train.yaml
      loss-logging doctor --json
    """
    from loss_logging.cli.examine import examine
    from loss_logging.runs.config import TrainConfig

    given = None if config is None else TrainConfig.from_file(config)
    entries = [] if given is None else list(given.loggers)
    if loggers is not None:
        entries = [name.strip() for name in loggers.split(",") if name.strip()]
    folder = out or (Path() if given is None else Path(given.save_root))
    console, findings = Console(), []
    for finding in examine(folder, entries):
        findings.append(finding)
        if not as_json:
            mark, style = _MARKS[finding.ok]
            console.print(Text.assemble((mark, style), f"  {finding.subject}: {finding.text}"), soft_wrap=True)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    if failed := sum(finding.ok is False for finding in findings):
        raise LossLoggingError(f"{failed} of these would be in the way")
