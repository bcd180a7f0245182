from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from as_trained import FAILS, KOHYA, SKIP, trained
from captioned_folders import PNG, write
from helpers import examples
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from loss_logging.captions.folder.trainer_settings import settings_from_file
from loss_logging.cli.commands.as_trained import as_trained
from loss_logging.errors import ConfigError

MUSUBI = """
[general]
caption_extension = ".caption"
[[datasets]]
image_directory = "dogs"
"""


AI_TOOLKIT = """
job: extension
config:
  process:
    - type: sd_trainer
      trigger_word: p3r5on
      datasets:
        - folder_path: dogs
          default_caption: a dog
"""


DIFFUSION_PIPE = """
skip_empty_caption = false
caption_prefix = "p: "
[[directory]]
path = "dogs"
"""


SIMPLETUNER = [
    {"id": "x", "type": "local", "instance_data_dir": "dogs", "caption_strategy": "textfile", "instance_prompt": "sks"}
    | {"prepend_instance_prompt": True, "disable_multiline_split": True},
    {"id": "text", "dataset_type": "text_embeds", "type": "local"},
]


ONETRAINER = [{"path": "dogs", "text": {"prompt_source": "concept", "prompt_path": "prompts.txt"}, "enabled": True}]


CONFIGURATIONS: dict[str, tuple[str, str, Any, Any]] = {  # file, content; what 1.png and 2.png are trained with
    "kohya": ("data.toml", KOHYA, ["photo, a red ball, 1", "photo, a blue ball, 1"], "photo, sks dog"),
    "musubi": ("data.toml", MUSUBI, "caption", SKIP),
    "ai-toolkit": ("train.yaml", AI_TOOLKIT, "p3r5on a {red|blue} ball,  1\nmore", "p3r5on a dog"),
    "diffusion-pipe": ("data.toml", DIFFUSION_PIPE, "p: a {red|blue} ball, 1\nmore", "p: "),
    "simpletuner": ("multidatabackend.json", json.dumps(SIMPLETUNER), "sks a {red|blue} ball, 1\nmore", FAILS),
    "onetrainer": ("concepts.json", json.dumps(ONETRAINER), ["one", "two"], ["one", "two"]),
}


@pytest.mark.parametrize("trainer", CONFIGURATIONS)
def test_configuration_files(tmp_path: Path, trainer: str) -> None:
    """Each trainer's own file is known by what it holds, and its settings are those of the folders that it names."""
    name, content, first, second = CONFIGURATIONS[trainer]
    files: dict[str, Any] = {name: content, "prompts.txt": "one\n\ntwo\n", "dogs/1.png": PNG, "dogs/2.png": PNG}
    write(tmp_path, files | {"dogs/1.txt": "a {red|blue} ball, 1\nmore", "dogs/1.caption": "caption"})
    settings = settings_from_file(tmp_path / name)
    assert settings.trainer.name == trainer
    if trainer == "kohya":
        first = [*first, "more"]
    assert trained(tmp_path / "dogs", settings) == {"1.png": first, "2.png": second}
    with pytest.raises(ConfigError, match=rf"is a configuration of {trainer}, and trainer is 'diffusers'"):
        settings_from_file(tmp_path / name, "diffusers")


def test_folders_of_one_configuration_differ(tmp_path: Path) -> None:
    """Each folder has its own settings; shuffled tags lose the separator, which stays in the text elsewhere."""
    text = "sks, x ||| long hair, y"
    files = {f"{name}/1.{end}": text if end == "txt" else PNG for name in ("dogs", "cats") for end in ("png", "txt")}
    settings = settings_from_file(write(tmp_path, files | {"data.toml": KOHYA}) / "data.toml")
    assert trained(tmp_path / "cats", settings) == {"1.png": "sks, x, long hair, y"}
    assert trained(tmp_path / "dogs", settings) == {"1.png": f"photo, {text}"}
    write(tmp_path, {"dogs/inner/2.png": PNG, "others/3.png": PNG, "4.png": PNG})
    reasons = {Path(one["path"]).name: one["not_trained"] for one in as_trained(tmp_path, settings)}
    assert reasons == {
        "1.png": None,
        "2.png": "kohya reads no folders inside another",
        "3.png": "kohya's configuration does not name its folder",
        "4.png": "kohya's configuration does not name its folder",
    }


def test_a_folder_of_kohya_whose_name_is_a_number(tmp_path: Path) -> None:
    """It has no words for what has no caption; as a name in a configuration, train_data_dir is such a folder's."""
    write(
        tmp_path, {"data/10/1.png": PNG, "data/2_/2.png": PNG, "data/a/3.png": PNG, "t.toml": 'train_data_dir = "data"'}
    )
    for settings in ("kohya", settings_from_file(tmp_path / "t.toml")):
        assert trained(tmp_path / "data", settings) == {"1.png": "", "2.png": ""}
    assert trained(tmp_path, settings_from_file(tmp_path / "t.toml")) == {"1.png": "", "2.png": ""}


@pytest.mark.parametrize(
    ("name", "content"), [("a.toml", "x = 1"), ("a.yaml", "a: b"), ("a.json", "[1]"), ("a.json", "{")]
)
def test_files_that_are_no_configuration(tmp_path: Path, name: str, content: str) -> None:
    """Another file is named, with what is allowed."""
    with pytest.raises(ConfigError, match=name):
        settings_from_file(write(tmp_path, {name: content}) / name)


KEYS = [
    *(
        "datasets",
        "subsets",
        "general",
        "image_dir",
        "metadata_file",
        "caption_prefix",
        "enable_wildcard",
        "train_data_dir",
    ),
    *(
        "caption_extension",
        "shuffle_caption",
        "class_tokens",
        "image_directory",
        "image_jsonl_file",
        "config",
        "process",
    ),
    *("folder_path", "dataset_path", "trigger_word", "default_caption", "caption_ext", "directory", "path", "dataset"),
    *(
        "model",
        "skip_empty_caption",
        "instance_data_dir",
        "caption_strategy",
        "instance_prompt",
        "dataset_type",
        "text",
    ),
    *("prompt_source", "prompt_path", "include_subdirectories", "enabled", "concepts", "concept_file_name"),
    *("prepend_instance_prompt", "keep_tokens_separator"),
]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.sampled_from(["", "a", "textfile", "instanceprompt", "concept", "x\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)


@hypothesis_settings(
    deadline=None, max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(VALUES)
def test_any_configuration_is_read_or_refused(tmp_path: Path, content: Any) -> None:
    """Whatever a file holds, what comes is settings that can be used, or a sentence."""
    write(tmp_path, {"a.json": json.dumps(content), "a/1.png": PNG, "a/1.txt": "a, b"})
    try:
        found_ = settings_from_file(tmp_path / "a.json")
    except (ConfigError, OSError):
        return
    assert isinstance(trained(tmp_path, found_), dict)
