"""The parts of ``loss-logging check-captions``: from options to a configuration, and from findings to output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import IGNORE_FILE, FolderCheck
from loss_logging.captions.folder.formats import WRITERS
from loss_logging.captions.folder.repair import Repairer
from loss_logging.captions.ignore import IgnoreList
from loss_logging.captions.reason import SEVERITIES
from loss_logging.captions.trainers import TrainerName
from loss_logging.cli.tables.check import print_check, print_repairs

__all__ = ["caption_config", "fails", "ignore_list", "print_check_as"]


def caption_config(
    file: Path | None,
    *,
    profile: str | None,
    model: str | None,
    tokenizer: str | None,
    trainer: TrainerName | None = None,
) -> CaptionConfig:
    """The configuration in the file; options override it.

    Raises:
        ConfigError: a key is unknown, or a value is invalid.
    """
    config = CaptionConfig() if file is None else CaptionConfig.from_file(file)
    options = {"default_profile": profile, "model": model, "trainer": trainer}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if profile is not None:  # it holds for all datasets, also for datasets that the file names
        given["profiles"] = {}
    if tokenizer is not None:
        given["reading"] = msgspec.structs.replace(config.reading, tokenizer=tokenizer)
    return msgspec.structs.replace(config, **given)


def ignore_list(file: Path | None, checked: Path) -> IgnoreList | None:
    """The ignore list in the file, else the one in the checked folder; None without either.

    Raises:
        ConfigError: a line has no path.
    """
    beside = checked / IGNORE_FILE
    if file is None and not beside.is_file():
        return None
    return IgnoreList.from_file(file or beside)


def fails(check: FolderCheck, fail_on: str) -> bool:
    """Whether a finding has at least the severity ``fail_on``; ``"never"`` is above all severities."""
    return any(
        check.counts[severity] for severity in SEVERITIES if fail_on in SEVERITIES[: SEVERITIES.index(severity) + 1]
    )


def print_check_as(check: FolderCheck, output: str, rows: int) -> None:
    """Print the findings. Repairs go to stderr if the format on stdout is for programs."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    console = Console(stderr=output != "table")
    if check.repairer is not None:  # before the tables, as the user asked for it with --fix or --diff
        _print_repairer(check.repairer, console)
    if output == "table":
        print_check(check, console, rows)
    else:
        WRITERS[output](check, sys.stdout)


def _print_repairer(repairer: Repairer, console: Console) -> None:
    print_repairs(repairer.repairs, console)
    count = len(repairer.repairs)
    files = f"{count:,} caption file{'s' * (count != 1)}"
    done = f"{files} repaired; backup: {repairer.backup}" if repairer.backup.exists() else f"{files} to repair"
    console.print(Text(done), soft_wrap=True)
    if repairer.in_tables:
        console.print(f"{repairer.in_tables:,} more in tables or JSON, which are not repaired", highlight=False)
