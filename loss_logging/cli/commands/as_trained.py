"""``loss-logging check-captions --as-trained``: the caption that each image is really trained with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import typer

from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.formats import printable
from loss_logging.captions.folder.read import class_tokens, read_captioned_folder
from loss_logging.captions.folder.trainer_settings import TrainerSettings, as_settings, settings_from_file
from loss_logging.captions.trainers import TRAINERS, Lines
from loss_logging.cli.tables.report import cell

__all__ = ["as_trained", "print_as_trained", "trainer_of"]

_NOTHING, _MISSING = "its caption is blank, and counts as none", "the training ends: it has no caption"


def trainer_of(path: Path, name: str | None, file: Path | None, lines: Lines | None) -> TrainerSettings | None:
    """The trainer by its name or its configuration file, or, with ``lines``, by the shape of the folder.

    Raises:
        ConfigError: the file is no configuration of the trainer.
    """
    if file is not None:
        settings: TrainerSettings | None = settings_from_file(file, name)
    else:
        settings = None if name is None else as_settings(name)
    if lines is None:
        return settings
    settings = settings or guessed(path)
    if settings is None:
        raise typer.BadParameter("--lines needs --trainer NAME, as trainers differ in more than lines")
    folders = {folder: row.with_lines(lines) for folder, row in settings.folders.items()}
    return TrainerSettings(settings.trainer.with_lines(lines), folders)


def guessed(path: Path) -> TrainerSettings | None:
    """The trainer that the shape of a folder suggests: kohya, if folders in it are named ``N_name``."""
    names = [path.resolve().name, *(inner.name for inner in path.iterdir() if inner.is_dir())] if path.is_dir() else []
    return as_settings("kohya") if any(map(class_tokens, names)) else None


def as_trained(path: Path, settings: TrainerSettings) -> Iterator[dict[str, Any]]:
    """For each image, the texts that the trainer may use; without any, the reason why it is not trained."""
    files = read_captioned_folder(path, trainer=settings)
    for image, found in groupby(files, key=attrgetter("path")):
        those: list[CaptionedFile] = list(found)
        captions = list(dict.fromkeys(text for file in those for text in file.trained))
        nothing = _NOTHING if those[0].source else _MISSING
        left_out = those[0].not_trained or (None if captions else nothing)
        yield {"path": image, "dataset": those[0].dataset, "captions": captions, "not_trained": left_out}


def print_as_trained(path: Path, settings: TrainerSettings | None, *, as_json: bool) -> None:
    """Print one line per image and caption, or JSON lines."""
    settings = settings or guessed(path)
    if settings is None:
        raise typer.BadParameter(f"--as-trained needs --trainer: {', '.join(TRAINERS)}; or --trainer-config FILE")
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    for image in as_trained(path, settings):
        if as_json:
            print(printable(json.dumps(image, ensure_ascii=False)))
            continue
        name = cell(
            str(Path(image["path"]).relative_to(path) if path in Path(image["path"]).parents else image["path"]), 500
        )
        captions = [json.dumps(printable(text), ensure_ascii=False) for text in image["captions"]]
        print(f"{name}: {' | '.join(captions) or '(' + image['not_trained'] + ')'}")
