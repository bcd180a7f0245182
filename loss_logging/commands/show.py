"""``loss-logging show``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loss_logging.artifacts import read_report
from loss_logging.errors import LossLoggingError
from loss_logging.show import print_report

__all__ = ["show"]


def show(
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_RUN_DIR", help="A JSON report, or a folder with some.")],
    rows: Annotated[int, typer.Option(min=1, help="Most lines per table.")] = 10,
) -> None:
    """Print a report as tables: the losses of each dataset, the worst items, the flagged captions.

    Of a folder, the report that was written last is shown.
    """
    print_report(read_report(_latest_report(path)), Console(), rows)


def _latest_report(path: Path) -> Path:
    if not path.is_dir():
        return path
    reports = [file for folder in (path, path / "loss_logging") for file in folder.glob("*_" + "[0-9]" * 9 + ".json")]
    if not reports:
        raise LossLoggingError(f"{path} holds no report (JOB_000000250.json, or loss_logging/JOB_000000250.json)")
    return max(reports, key=lambda file: file.stat().st_mtime_ns)
