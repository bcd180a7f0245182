"""``loss-logging doctor``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JsonOption, print_json
from loss_logging.errors import LossLoggingError

__all__ = ["doctor"]

_MARKS = {True: ("ok", "green"), False: ("no", "red"), None: ("  ", "")}


def doctor(
    config: Annotated[Path | None, typer.Option(help="A configuration; its loggers and folder are tested.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to test. Default: the configuration's, or this.")] = None,
    loggers: Annotated[str | None, typer.Option(help="Names of loggers to test: tensorboard,trackio.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the installed packages, and test whether the folder is writable and each tracker takes a report.

    Each tested logger gets a small report named loss-logging-doctor; nothing stays in the folder.

    \b
    Examples:
      loss-logging doctor --loggers tensorboard
      loss-logging doctor --config train.yaml
      loss-logging doctor --json
    """
    from rich.console import Console
    from rich.text import Text

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
        raise LossLoggingError(f"{failed} of these checks failed; see the lines above")
