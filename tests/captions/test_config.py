from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loss_logging import TrainConfig
from loss_logging.captions.config import CaptionConfig
from loss_logging.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "named", "allowed"),
    [
        ({"min_words": -1}, "$.min_words: got -1", "from 0 to 2000"),
        ({"min_words": "3"}, "$.min_words: got '3'", "whole number"),
        ({"min_words": True}, "$.min_words: got True", "whole number"),
        ({"max_words": 0}, "$.max_words: got 0", "from 1 to 2000"),
        ({"min_words": 10, "max_words": 5}, "$.max_words: got 5", "from min_words, 10, to 2000"),
        ({"max_words": 2_001}, "$.max_words: got 2001", "to 2000"),
        ({"default_profile": "tag"}, "$.default_profile: got 'tag'", "did you mean tags"),
        ({"profiles": {"anime": "booru"}}, "$.profiles.anime: got 'booru'", '"auto" or "prose" or "tags"'),
        ({"profiles": ["tags"]}, "$.profiles: got ['tags']", "a mapping from names to"),
        ({"rules": {"disabled": ["shrot"]}}, "$.rules.disabled[0]: got 'shrot'", "did you mean short"),
        ({"rules": {"severities": {"short": "bad"}}}, "$.rules.severities.short: got 'bad'", '"warning"'),
        ({"rules": {"severities": {"shrt": "info"}}}, "$.rules.severities.shrt: got 'shrt'", "did you mean short"),
        ({"rules": {"own": ["nonsense"]}}, "$.rules.own[0]: got 'nonsense'", "module:function"),
        ({"rules": {"disable": ["short"]}}, "$.rules.disable is no configuration key", "did you mean disabled"),
        ({"rules": {"disabled": "short"}}, "$.rules.disabled: got 'short'", "a list of text"),
        ({"rules": {"disabled": [["short"]]}}, "$.rules.disabled[0]: got ['short']", "text"),
        ({"model": "sdx"}, "$.model: got 'sdx'", "did you mean sdxl"),
        ({"trainer": "koya"}, "$.trainer: got 'koya'", "did you mean kohya"),
        ({"reading": {"max_tokens": 0}}, "$.reading.max_tokens: got 0", "from 1"),
        ({"reading": {"syntax": ["weight"]}}, "$.reading.syntax[0]: got 'weight'", "did you mean weights"),
        ({"triggers": {"me": " "}}, "$.triggers.me: got ' '", "a word or phrase"),
        ({"ignore": ["short"]}, "line 1 of ignore is 'short'", "such as 'short,long cats/*.png'"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], named: str, allowed: str) -> None:
    """The error names the argument, the value given and what is allowed."""
    with pytest.raises(ConfigError) as error:
        CaptionConfig(**values)
    assert named in str(error.value)
    assert allowed in str(error.value)


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"min_words": 0, "max_words": 55},
        {
            "profiles": {"anime": "tags", "me": "instance"},
            "default_profile": "prose",
            "rules": {"disabled": ["short", "long"]},
        },
    ],
)
def test_the_configuration_is_plain_data(plain: dict[str, Any]) -> None:
    """It comes from, and goes back to, what YAML and JSON hold."""
    config = CaptionConfig.from_dict(plain)
    assert config == CaptionConfig(**plain)
    assert msgspec.json.decode(msgspec.json.encode(config), type=CaptionConfig) == config


OLD: list[tuple[str, Any, Any]] = [
    ("disabled_rules", ["short"], lambda config: config.rules.disabled == ("short",)),
    ("severities", {"short": "error"}, lambda config: config.rules.severities == {"short": "error"}),
    ("rules", ["json:loads"], lambda config: config.rules.own == ("json:loads",)),
    ("max_tokens", 225, lambda config: config.reading.max_tokens == 225),
    ("syntax", ["weights"], lambda config: config.reading.syntax == ("weights",)),
    ("scores", {"short": 0.5}, lambda config: config == CaptionConfig()),
    ("messages", {"short": "!"}, lambda config: config == CaptionConfig()),
]


@pytest.mark.parametrize(("key", "value", "holds"), OLD, ids=lambda one: one if isinstance(one, str) else "")
def test_old_spellings_work_with_a_warning(key: str, value: Any, holds: Any, tmp_path: Path) -> None:
    """As a keyword, in a file, and inside a training configuration; the warning names the new place."""
    with pytest.warns(DeprecationWarning, match=f"{key} is now |{key} has no effect"):
        assert holds(CaptionConfig(**{key: value}))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"captions": {key: value}}))
    with pytest.warns(DeprecationWarning, match=key):
        assert holds(CaptionConfig.from_file(path))
    with pytest.warns(DeprecationWarning, match=key):
        assert holds(TrainConfig(job_name="j", save_root=tmp_path, captions={key: value}).captions)


def test_errors_name_the_place_in_a_training_configuration(tmp_path: Path) -> None:
    """The path begins where the file begins."""
    with pytest.raises(ConfigError, match=r"^\$\.captions\.reading\.max_tokens: got 0 \(int\); allowed: "):
        TrainConfig(job_name="j", save_root=tmp_path, captions={"reading": {"max_tokens": 0}})
    path = tmp_path / "config.yaml"
    path.write_text("captions: {rules: {disabled: [shrot]}}")
    with pytest.raises(ConfigError, match=r"config\.yaml: \$\.captions\.rules\.disabled\[0\]: got 'shrot'"):
        CaptionConfig.from_file(path)


def test_an_unknown_key_is_refused() -> None:
    """A misspelt key never passes silently."""
    with pytest.raises(ConfigError, match=r"\$\.max_word is no configuration key; did you mean max_words\?"):
        CaptionConfig.from_dict({"max_word": 3})


def test_a_dataset_without_a_profile_has_the_default_one() -> None:
    """profiles speaks for the datasets that it names; default_profile for all others."""
    config = CaptionConfig(profiles={"anime": "tags"}, default_profile="prose")
    assert (config.profile("anime"), config.profile("photos")) == ("tags", "prose")
