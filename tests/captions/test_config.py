from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loss_logging.captions.config import CaptionConfig
from loss_logging.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "named", "allowed"),
    [
        ({"min_words": -1}, "min_words is -1", "from 0 to 2000"),
        ({"min_words": "3"}, "min_words is '3'", "whole number"),
        ({"min_words": True}, "min_words is True", "whole number"),
        ({"max_words": 0}, "max_words is 0", "from 3 to 2000"),
        ({"min_words": 10, "max_words": 5}, "max_words is 5", "from 10 to 2000"),
        ({"max_words": 2_001}, "max_words is 2001", "from 3 to 2000"),
        ({"default_profile": "tag"}, "default_profile is 'tag'", "did you mean tags"),
        ({"profiles": {"anime": "booru"}}, "profiles['anime'] is 'booru'", "auto, prose, tags, instance"),
        ({"profiles": ["tags"]}, "profiles is ['tags']", "a mapping"),
        ({"disabled_rules": ["shrot"]}, "disabled_rules[0] is 'shrot'", "did you mean short"),
        ({"severities": {"short": "bad"}}, "severities['short'] is 'bad'", "info, warning, error"),
        ({"scores": {"short": 2}}, "scores['short'] is 2", "above 0 and up to 1"),
        ({"messages": {"short": ""}}, "messages['short'] is ''", "a sentence"),
        ({"messages": {"shrt": "x"}}, "a key of messages is 'shrt'", "did you mean short"),
        ({"rules": ["nonsense"]}, "rules[0] is 'nonsense'", "module:function"),
        ({"model": "sdx"}, "model is 'sdx'", "did you mean sdxl"),
        ({"max_tokens": 0}, "max_tokens is 0", "from 1"),
        ({"syntax": ["weight"]}, "syntax[0] is 'weight'", "did you mean weights"),
        ({"triggers": {"me": " "}}, "triggers['me'] is ' '", "a word or phrase"),
        ({"ignore": ["short"]}, "line 1 of ignore is 'short'", "such as 'short,long cats/*.png'"),
        ({"disabled_rules": "short"}, "disabled_rules is 'short'", "a list of empty"),
        ({"disabled_rules": [["short"]]}, "disabled_rules[0] is ['short']", "empty"),
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
            "disabled_rules": ["short", "long"],
        },
    ],
)
def test_the_configuration_is_plain_data(plain: dict[str, Any]) -> None:
    """It comes from, and goes back to, what YAML and JSON hold."""
    config = msgspec.convert(plain, CaptionConfig)
    assert config == CaptionConfig(**plain | {"disabled_rules": tuple(plain.get("disabled_rules", ()))})
    assert msgspec.json.decode(msgspec.json.encode(config), type=CaptionConfig) == config


def test_an_unknown_key_is_refused() -> None:
    """A misspelt key never passes silently."""
    with pytest.raises(msgspec.ValidationError, match="max_word"):
        msgspec.convert({"max_word": 3}, CaptionConfig)


def test_a_dataset_without_a_profile_has_the_default_one() -> None:
    """profiles speaks for the datasets that it names; default_profile for all others."""
    config = CaptionConfig(profiles={"anime": "tags"}, default_profile="prose")
    assert (config.profile("anime"), config.profile("photos")) == ("tags", "prose")
