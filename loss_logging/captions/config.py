"""CaptionConfig: what a user may say about captions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from loss_logging.captions.caption import Style
from loss_logging.captions.rules import RULES
from loss_logging.errors import ConfigError

__all__ = ["CaptionConfig", "Profile"]

Profile = Literal["auto", "prose", "tags", "instance"]

_MOST_WORDS = 2_000  # no text encoder reads more, and every language fits so many into READ_LIMIT


class CaptionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as a bad caption.

    Args:
        min_words: captions of fewer words are ``short``; 0 or more. Where a script has no spaces, about two characters
            (Chinese, Japanese, Korean) or four (Thai, Khmer, ...) are one word.
        max_words: captions of more words are ``long``; from 1, or ``min_words``, to 2,000. About 55 English words
            fill CLIP's 77 tokens, 190 fill 256 tokens of T5 (SD3), 380 fill 512 (Flux).
        profiles: what the captions of a dataset are, by its name: ``"prose"``, ``"tags"`` (comma-separated, as in
            booru lists), ``"instance"`` (a trigger word or one caption for every image: never ``short``), or ``"auto"``
            to guess it from each caption.
        default_profile: the profile of datasets that ``profiles`` does not name.
        disabled_rules: names of rules to leave out.

    Raises:
        ConfigError: a value is of the wrong type or impossible, or a rule or profile does not exist.

    Example:
        >>> CaptionConfig(min_words=5, profiles={"portraits": "instance"}).default_profile
        'auto'
    """

    min_words: int = 3
    max_words: int = 300
    profiles: dict[str, Profile] = {}
    default_profile: Profile = "auto"
    disabled_rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_count("min_words", self.min_words, 0, _MOST_WORDS)
        _check_count("max_words", self.max_words, max(1, self.min_words), _MOST_WORDS)
        if not isinstance(self.profiles, dict):
            raise ConfigError(f"profiles is {self.profiles!r}; allowed: a mapping from dataset names to profiles")
        for dataset, profile in self.profiles.items():
            _check_name(f"profiles[{dataset!r}]", profile, get_args(Profile))
        _check_name("default_profile", self.default_profile, get_args(Profile))
        if not isinstance(self.disabled_rules, (list, tuple)):
            raise ConfigError(f"disabled_rules is {self.disabled_rules!r}; allowed: a list of {', '.join(RULES)}")
        for i, rule in enumerate(self.disabled_rules):
            _check_name(f"disabled_rules[{i}]", rule, RULES)

    def profile(self, dataset: str) -> Literal["auto"] | Style:
        """The profile of a dataset.

        >>> CaptionConfig(profiles={"anime": "tags"}).profile("anime")
        'tags'
        """
        return self.profiles.get(dataset, self.default_profile)


def _check_count(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{name} is {value!r}; allowed: a whole number of words from {least} to {most}")


def _check_name(name: str, value: object, allowed: Iterable[str]) -> None:
    if value not in (names := list(allowed)):
        near = difflib.get_close_matches(str(value), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(names)}{hint}")
