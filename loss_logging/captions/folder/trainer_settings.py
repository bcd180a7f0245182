"""TrainerSettings: the caption settings in a trainer's own configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.trainers import TRAINERS, Trainer, TrainerName
from loss_logging.errors import ConfigError
from loss_logging.support.checked_config import parse_file

__all__ = ["TrainerSettings", "as_settings", "settings_from_file", "trainer_settings"]


class TrainerSettings(msgspec.Struct, frozen=True):
    """The settings of a trainer, folder by folder.

    Args:
        trainer: the settings of folders that ``folders`` does not name.
        folders: settings by the real path of a folder; they also hold below it if the trainer reads there.

    Example:
        >>> as_settings("kohya").of("any").lines
        'first'
    """

    trainer: Trainer
    folders: dict[str, Trainer] = {}

    def of(self, folder: str) -> Trainer:
        """The settings of a folder, from the nearest named folder above it."""
        above = self._above(folder)
        return self.trainer if above is None else self.folders[above]

    def below(self, folder: str, root: str) -> str | None:
        """The path of a folder relative to the named folder that holds it, "" for that folder; None if none does.

        If the configuration names no folder in ``root``, ``root`` counts as named.
        """
        path, top = os.path.realpath(folder), os.path.realpath(root)
        above = self._above(folder)
        if above is None and any(os.path.commonpath([top, named]) == top for named in self.folders):
            return None
        below = os.path.relpath(path, above or top)
        return "" if below == os.curdir else below

    def _above(self, folder: str) -> str | None:
        path = os.path.realpath(folder)
        return next((above for above in (path, *map(str, Path(path).parents)) if above in self.folders), None)


def as_settings(trainer: str | Trainer | TrainerSettings) -> TrainerSettings:
    """The default settings of a trainer, or the settings that are given.

    Raises:
        ConfigError: ``trainer`` is the name of no known trainer.
    """
    if isinstance(trainer, TrainerSettings):
        return trainer
    if isinstance(trainer, Trainer):
        return TrainerSettings(trainer)
    if trainer not in TRAINERS:
        raise ConfigError(f"trainer is {trainer!r}; allowed: {', '.join(get_args(TrainerName))}")
    return TrainerSettings(TRAINERS[trainer])


def trainer_settings(config: CaptionConfig, given: Trainer | TrainerSettings | None = None) -> TrainerSettings | None:
    """The settings of the given trainer, or of the trainer that the configuration names; None without a trainer."""
    if given is not None:
        return as_settings(given)
    return None if config.trainer is None else as_settings(config.trainer)


def settings_from_file(path: Path, trainer: str | None = None) -> TrainerSettings:
    """The settings in a trainer's own configuration file: kohya's or musubi's TOML, ai-toolkit's YAML, OneTrainer's
    concepts, diffusion-pipe's TOML, SimpleTuner's multidatabackend.json.

    Args:
        path: the path of the file.
        trainer: the name of the trainer; guessed from the content when None.

    Raises:
        ConfigError: the file is no configuration of a known trainer, or of another trainer than ``trainer``.
        OSError: the file cannot be read.
    """
    try:
        content = parse_file(path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    found = next((name for name, (is_of, _) in _READERS.items() if is_of(content)), None)
    if found is None:
        raise ConfigError(
            f"{path} is no known configuration of captions; allowed: a configuration of {', '.join(_READERS)}"
        )
    if trainer not in (None, found):
        raise ConfigError(f"{path} is a configuration of {found}, and trainer is {trainer!r}; leave one of them out")
    rows = list(_READERS[found][1](content, path.parent))
    folders = {os.path.realpath(path.parent / folder): row for folder, row in rows if folder and "\0" not in folder}
    plain = rows[0][1] if rows else TRAINERS[found]
    return TrainerSettings(plain if len({*folders.values()}) <= 1 else TRAINERS[found], folders)


Rows = Iterator[tuple[str, Trainer]]
"""Folders, relative to the folder of the file, with their settings; "" for the settings of all other folders."""


def _changed(name: str, **changes: Any) -> Trainer:
    """A trainer's row with the changes whose value is not None.

    Raises:
        ConfigError: a change has a type that the trainer rejects, too.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        return msgspec.convert(msgspec.structs.asdict(TRAINERS[name]) | given, Trainer)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the configuration of {name} has an impossible value: {error}") from error


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _ending(value: Any) -> dict[str, Any]:
    """The suffix of captions; the configuration may omit its dot."""
    if not isinstance(value, str) or not value:
        return {}
    suffix = value if value.startswith(".") else f".{value}"
    return {"suffixes": (suffix,), "usual_suffix": suffix}


def _kohya(content: dict[str, Any], _place: Path) -> Rows:
    flat = {key: value for section in content.values() if isinstance(section, dict) for key, value in section.items()}
    general = flat | content
    found = False
    for dataset in _dicts(content.get("datasets")):
        for subset in _dicts(dataset.get("subsets")):
            yield _kohya_row(general | dataset | subset)
            found = True
    if not found:
        yield _kohya_row(general)


def _kohya_row(values: Mapping[str, Any]) -> tuple[str, Trainer]:
    wildcards = values.get("enable_wildcard") is True
    folder, table = values.get("image_dir"), values.get("metadata_file")
    prefix, suffix = values.get("caption_prefix"), values.get("caption_suffix")
    shuffled, separator = values.get("shuffle_caption"), values.get("keep_tokens_separator")
    row = _changed(
        "kohya",
        **_ending(values.get("caption_extension")),
        resolves=("separator",) * bool(shuffled and separator),
        prefix=f"{prefix} " if prefix else None,
        suffix=f" {suffix}" if suffix else None,
        class_tokens=values.get("class_tokens") or ("" if folder else None),
        shuffled=shuffled,
        separator=separator,
        folders="top" if folder else None,
        **_table(table),
    )
    return str(folder or values.get("train_data_dir") or (Path(str(table)).parent if table else "")), (
        row.with_lines("each") if wildcards else row
    )


def _table(path: Any) -> dict[str, Any]:
    """A table that is read instead of caption files."""
    return {"tables": (Path(path).name,), "tables_first": True} if isinstance(path, str) and path else {}


def _musubi(content: dict[str, Any], _place: Path) -> Rows:
    general = content.get("general") if isinstance(content.get("general"), dict) else {}
    for dataset in _dicts(content.get("datasets")):
        values = {**(general or {}), **dataset}
        table = values.get("image_jsonl_file") or values.get("video_jsonl_file")
        folder = values.get("image_directory") or values.get("video_directory")
        row = _changed("musubi", **_ending(values.get("caption_extension")), **_table(table))
        yield str(folder or (Path(str(table)).parent if table else "")), row


def _ai_toolkit(content: dict[str, Any], _place: Path) -> Rows:
    for process in _dicts(content["config"].get("process")):
        for dataset in _dicts(process.get("datasets")):
            place = str(dataset.get("dataset_path") or dataset.get("folder_path") or "")
            table = place if place.endswith(".json") else None
            yield (
                str(Path(place).parent) if table else place,
                _changed(
                    "ai-toolkit",
                    **_ending(dataset.get("caption_ext")),
                    trigger=dataset.get("trigger_word") or process.get("trigger_word"),
                    default_caption=dataset.get("default_caption"),
                    shuffled=dataset.get("shuffle_tokens"),
                    **_table(table),
                ),
            )


def _onetrainer(content: Any, place: Path) -> Rows:
    if isinstance(content, dict):
        content = content.get("concepts") or parse_file(place / str(content.get("concept_file_name")))
    for concept in _dicts(content):
        text = concept.get("text") if isinstance(concept.get("text"), dict) else {}
        source = (text or {}).get("prompt_source", "sample")
        prompts = _lines(place / str((text or {}).get("prompt_path", ""))) if source == "concept" else []
        changes: dict[str, Any] = {"folders": "all"} if concept.get("include_subdirectories") else {}
        if source != "sample":
            changes |= {"suffixes": (), "tables": (), "without": "file_name"}
        if prompts:
            changes["concept_captions"] = tuple(prompts)
        if concept.get("enabled", True):
            yield str(concept.get("path", "")), _changed("onetrainer", **changes)


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}, which a concept names, cannot be read: {error}") from error


def _diffusion_pipe(content: dict[str, Any], place: Path) -> Rows:
    if "directory" not in content:
        path = Path(str(content["dataset"]))
        content = parse_file(path if path.is_file() else place / path)
    for directory in _dicts(content.get("directory")):
        values = content | directory
        row = _changed(
            "diffusion-pipe",
            prefix=values.get("caption_prefix"),
            without="empty" if values.get("skip_empty_caption") is False else None,
        )
        yield str(directory.get("path", "")), row


def _simpletuner(content: list[Any], _place: Path) -> Rows:
    for backend in _dicts(content):
        if "instance_data_dir" not in backend or backend.get("dataset_type", "image") not in ("image", "video"):
            continue
        strategy, prompt = backend.get("caption_strategy", "filename"), backend.get("instance_prompt")
        prepend = isinstance(prompt, str) and backend.get("prepend_instance_prompt")
        changes: dict[str, Any] = {"prefix": f"{prompt} "} if prepend else {}
        if strategy == "textfile":
            changes |= {"tables": (), "without_any": "fails"}
            changes |= {"lines": "whole"} if backend.get("disable_multiline_split") else {}
        elif strategy in ("parquet", "csv"):
            changes |= {"tables_first": True, "without_any": "fails"}
        else:
            changes |= {"suffixes": (), "tables": (), "without": "file_name"}
        if strategy == "instanceprompt":
            changes["concept_captions"] = prompt if isinstance(prompt, list) else [prompt]
        yield str(backend["instance_data_dir"]), _changed("simpletuner", **changes)


def _any_has(values: Iterable[dict[str, Any]], *keys: str) -> bool:
    return any(key in value for value in values for key in keys)


_READERS: dict[str, tuple[Callable[[Any], bool], Callable[[Any, Path], Rows]]] = {
    "simpletuner": (lambda content: _any_has(_dicts(content), "instance_data_dir", "caption_strategy"), _simpletuner),
    "onetrainer": (
        lambda content: (
            _any_has(_dicts(content), "include_subdirectories", "text")
            or (isinstance(content, dict) and _any_has([content], "concepts", "concept_file_name"))
        ),
        _onetrainer,
    ),
    "ai-toolkit": (
        lambda content: (
            isinstance(content, dict) and isinstance(content.get("config"), dict) and "process" in content["config"]
        ),
        _ai_toolkit,
    ),
    "diffusion-pipe": (
        lambda content: (
            isinstance(content, dict)
            and ("directory" in content or (isinstance(content.get("dataset"), str) and "model" in content))
        ),
        _diffusion_pipe,
    ),
    "musubi": (
        lambda content: (
            isinstance(content, dict)
            and _any_has(
                _dicts(content.get("datasets")),
                "image_directory",
                "video_directory",
                "image_jsonl_file",
                "video_jsonl_file",
            )
        ),
        _musubi,
    ),
    "kohya": (
        lambda content: (
            isinstance(content, dict)
            and (
                _any_has(_dicts(content.get("datasets")), "subsets")
                or _any_has(
                    [content, *(one for one in content.values() if isinstance(one, dict))],
                    *("train_data_dir", "caption_extension", "enable_wildcard", "in_json"),
                )
            )
        ),
        _kohya,
    ),
}
"""By trainer: a test whether a file's content belongs to it, and a reader of the settings."""
