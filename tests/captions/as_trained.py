"""What a trainer makes of a folder, and configurations of trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from captioned_folders import write

from loss_logging.captions.folder.trainer_settings import TrainerSettings, as_settings
from loss_logging.captions.trainers import TRAINERS, Trainer
from loss_logging.cli.commands.as_trained import as_trained

SKIP, FAILS, NONE = "skip", "fails", "none"


WILDCARDS = TRAINERS["kohya"].with_lines("each")


READERS: dict[str, Trainer] = {"wildcards": WILDCARDS, **TRAINERS}


def trained(folder: Path, trainer: str | TrainerSettings | Trainer) -> dict[str, Any]:
    """Name of the image -> what it is trained with: a text, several, SKIP, FAILS or NONE; what is not read lacks."""
    settings = as_settings(READERS[trainer] if isinstance(trainer, str) else trainer)
    result: dict[str, Any] = {}
    for one in as_trained(folder, settings):
        captions = one["captions"]
        if one["not_trained"] is None:
            result[Path(one["path"]).name] = captions[0] if len(captions) == 1 else captions
        elif "leaves out" in one["not_trained"]:
            result[Path(one["path"]).name] = SKIP
        elif "training ends" in one["not_trained"]:
            result[Path(one["path"]).name] = FAILS
        elif "blank" in one["not_trained"]:
            result[Path(one["path"]).name] = NONE
    return result


def laid_out(folder: Path, files: dict[str, Any], trainer: str) -> Path:
    """The files in a folder of the shape that the trainer reads."""
    write(folder / "10_sks dog" if trainer in ("kohya", "wildcards") else folder, files)
    return folder


KOHYA = """
[general]
enable_wildcard = true
caption_extension = ".txt"
[[datasets]]
  keep_tokens_separator = "|||"
  [[datasets.subsets]]
  image_dir = "dogs"
  class_tokens = "sks dog"
  caption_prefix = "photo,"
  [[datasets.subsets]]
  image_dir = "cats"
  shuffle_caption = true
  enable_wildcard = false
"""


SHUFFLED = """
[[datasets]]
  keep_tokens_separator = "|||"
  shuffle_caption = true
  caption_extension = ".txt"
  [[datasets.subsets]]
  image_dir = "."
"""
