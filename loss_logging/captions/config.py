"""CaptionConfig: what a user may say about captions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from loss_logging.captions.ignore import IgnoreList
from loss_logging.captions.names import RULE_NAMES, Profile, Style, Syntax, installed_rules
from loss_logging.captions.reason import Severity
from loss_logging.captions.token_limits import FAMILIES
from loss_logging.captions.trainers import TRAINERS, TrainerName
from loss_logging.errors import ConfigError
from loss_logging.support.names import near_miss

__all__ = ["CaptionConfig"]


_REFERENCE = re.compile(r"\w+(?:\.\w+)*:\w+", re.ASCII)

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
            to guess it from the captions of the dataset.
        default_profile: the profile of datasets that ``profiles`` does not name.
        disabled_rules: names of rules to leave out.
        severities: ``"error"``, ``"warning"`` or ``"info"`` by rule, instead of the rule's own.
        scores: by rule, above 0 and up to 1, instead of the rule's own.
        messages: by rule, instead of the rule's own; ``{message}`` stands for that one.
        rules: your own rules, each ``"module:function"``; see `loss_logging.captions.rulebook`.
        model: what is trained, for the tokens that it reads: ``"sd15"``, ``"sdxl"``, ``"sd3"``, ``"flux"``,
            ``"qwen-image"``, ... (`loss_logging.captions.token_limits.FAMILIES`). Without it, captions over CLIP's 75
            tokens are worth an ``info``.
        trainer: ``"kohya"``, ``"musubi"``, ``"ai-toolkit"``, ``"onetrainer"``, ``"diffusion-pipe"``, ``"simpletuner"``
            or ``"diffusers"``: what is a caption in a folder, what is resolved in it (see ``syntax``), and how many
            tokens of it the model gets.
        max_tokens: the trainer's own limit, if it is another one (such as 225 for three blocks of CLIP).
        tokenizer: the path of a ``tokenizer.json``, or ``"module:function"``; CLIP's own without it. For T5 without
            it, tokens are estimated by words.
        first_line_only: the trainer reads only the first line of a caption file.
        syntax: what the trainer resolves itself, and what therefore is no left-over in a caption: ``"weights"`` for
            ``(cat:1.2)``, ``"choices"`` for ``{a|b}``, ``"wildcards"`` for ``__animal__``, ``"networks"`` for
            ``<lora:name:1>``, ``"trigger"`` for ``[trigger]``, ``"names"`` for ``[name]``, ``"separator"`` for ``|||``.
        triggers: the trigger word or phrase of a dataset, by its name: it is missed in captions without it.
        default_trigger: the one of datasets that ``triggers`` does not name; None for none.
        ignore: what is fine as it is, in the lines of an `IgnoreList`.

    Raises:
        ConfigError: a value is of the wrong type or impossible, or a rule or profile does not exist.

    Example:
        >>> CaptionConfig(min_words=5, profiles={"portraits": "instance"}).default_profile
        'auto'
    """

    min_words: int = 3
    max_words: int = 380
    profiles: dict[str, Profile] = {}
    default_profile: Profile = "auto"
    disabled_rules: tuple[str, ...] = ()
    severities: dict[str, Severity] = {}
    scores: dict[str, float] = {}
    messages: dict[str, str] = {}
    rules: tuple[str, ...] = ()
    model: str | None = None
    trainer: TrainerName | None = None
    max_tokens: int | None = None
    tokenizer: str | None = None
    first_line_only: bool = False
    syntax: tuple[Syntax, ...] = ()
    triggers: dict[str, str] = {}
    default_trigger: str | None = None
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_count("min_words", self.min_words, 0, _MOST_WORDS)
        _check_count("max_words", self.max_words, max(1, self.min_words), _MOST_WORDS)
        _check_mapping("profiles", self.profiles, "dataset names to profiles")
        for dataset, profile in self.profiles.items():
            _check_name(f"profiles[{dataset!r}]", profile, get_args(Profile))
        _check_name("default_profile", self.default_profile, get_args(Profile))
        _check_rules(self)
        if self.model is not None:
            _check_name("model", self.model, FAMILIES)
        if self.trainer is not None:
            _check_name("trainer", self.trainer, get_args(TrainerName))
        if self.max_tokens is not None:
            _check_count("max_tokens", self.max_tokens, 1, _MOST_WORDS, "tokens")
        _check_list("syntax", self.syntax, f"of {', '.join(get_args(Syntax))}")
        for i, syntax in enumerate(self.syntax):
            _check_name(f"syntax[{i}]", syntax, get_args(Syntax))
        _check_mapping("triggers", self.triggers, "dataset names to trigger words")
        for name, trigger in [
            *((f"triggers[{dataset!r}]", word) for dataset, word in self.triggers.items()),
            ("default_trigger", self.default_trigger or "-"),
        ]:
            if not isinstance(trigger, str) or not trigger.strip():
                raise ConfigError(f"{name} is {trigger!r}; allowed: a word or phrase")
        _check_list("ignore", self.ignore, "of lines")
        IgnoreList(self.ignore)

    def profile(self, dataset: str) -> Literal["auto"] | Style:
        """The profile of a dataset.

        >>> CaptionConfig(profiles={"anime": "tags"}).profile("anime")
        'tags'
        """
        return self.profiles.get(dataset, self.default_profile)

    def resolves(self, syntax: str) -> bool:
        """Whether the trainer resolves a kind of syntax.

        >>> CaptionConfig(trainer="ai-toolkit").resolves("trigger"), CaptionConfig(trainer="kohya").resolves("choices")
        (True, False)
        """
        return syntax in self.syntax or (self.trainer is not None and syntax in TRAINERS[self.trainer].resolves)

    def trigger(self, dataset: str) -> str | None:
        """The trigger word of a dataset.

        >>> CaptionConfig(triggers={"me": "ohwx man"}).trigger("me")
        'ohwx man'
        """
        return self.triggers.get(dataset, self.default_trigger)


def _check_rules(config: CaptionConfig) -> None:
    """The fields that speak about rules by name."""
    _check_list("rules", config.rules, 'of "module:function"')
    for i, rule in enumerate(config.rules):
        if not isinstance(rule, str) or not _REFERENCE.fullmatch(rule):
            raise ConfigError(f'rules[{i}] is {rule!r}; allowed: "module:function"')
    _check_list("disabled_rules", config.disabled_rules, f"of {', '.join(RULE_NAMES)}")
    for i, rule in enumerate(config.disabled_rules):
        _check_rule(f"disabled_rules[{i}]", rule, config)
    for name, values in (("severities", config.severities), ("scores", config.scores), ("messages", config.messages)):
        _check_mapping(name, values, f"names of rules to {name}")
        for rule in values:
            _check_rule(f"a key of {name}", rule, config)
    for rule, severity in config.severities.items():
        _check_name(f"severities[{rule!r}]", severity, get_args(Severity))
    for rule, score in config.scores.items():
        if not isinstance(score, (int, float)) or isinstance(score, bool) or not 0 < score <= 1:
            raise ConfigError(f"scores[{rule!r}] is {score!r}; allowed: a number above 0 and up to 1")
    for rule, message in config.messages.items():
        if not isinstance(message, str) or not message.strip():
            raise ConfigError(f"messages[{rule!r}] is {message!r}; allowed: a sentence")


def _check_rule(name: str, value: object, config: CaptionConfig) -> None:
    own = [rule.partition(":")[2] for rule in config.rules]
    if value not in RULE_NAMES and value not in own:
        _check_name(name, value, [*RULE_NAMES, *own, *installed_rules()])


def _check_mapping(name: str, value: object, what: str) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{name} is {value!r}; allowed: a mapping from {what}")


def _check_list(name: str, value: object, what: str) -> None:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{name} is {value!r}; allowed: a list {what}")


def _check_count(name: str, value: object, least: int, most: int, unit: str = "words") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{name} is {value!r}; allowed: a whole number of {unit} from {least} to {most}")


def _check_name(name: str, value: object, allowed: Iterable[str]) -> None:
    if value not in (names := list(allowed)):
        raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(names)}{near_miss(value, names)}")
