"""CaptionConfig: the settings of the caption rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from loss_logging.captions.ignore import IgnoreList
from loss_logging.captions.names import RULE_NAMES, Profile, Style, Syntax, installed_rules
from loss_logging.captions.reason import Severity
from loss_logging.captions.token_limits import FAMILIES
from loss_logging.captions.trainers import TRAINERS, TrainerName
from loss_logging.errors import ConfigError
from loss_logging.support.checked_config import (
    Check,
    CheckedConfig,
    Function,
    check_section,
    convert,
    parse_file,
    shown,
)
from loss_logging.support.names import near_miss

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CaptionConfig", "CaptionReading", "CaptionRules"]

# No text encoder reads more than 2,000 words, and 2,000 words of any language fit into READ_LIMIT.
FewestWords: TypeAlias = Annotated[int, Meta(ge=0, le=2_000, description="a whole number of words from 0 to 2000")]
MostWords: TypeAlias = Annotated[int, Meta(ge=1, le=2_000, description="a whole number of words from 1 to 2000")]
Tokens: TypeAlias = Annotated[int, Meta(ge=1, le=2_000, description="a whole number of tokens from 1 to 2000")]
Phrase: TypeAlias = Annotated[str, Meta(pattern=r"\S", description="a word or phrase")]


class CaptionRules(CheckedConfig, frozen=True, kw_only=True):
    """The active caption rules and their severities.

    Args:
        disabled: names of rules to leave out.
        severities: ``"error"``, ``"warning"`` or ``"info"`` by rule name; replaces the rule's own severity.
        own: your own rules, each as ``"module:function"``; see `loss_logging.captions.rulebook`.
    """

    disabled: tuple[str, ...] = ()
    severities: dict[str, Severity] = msgspec.field(default_factory=dict)
    own: tuple[Function, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        own = [rule.partition(":")[2] for rule in self.own]
        named = {f"$.disabled[{i}]": rule for i, rule in enumerate(self.disabled)}
        for where, rule in (named | {f"$.severities.{rule}": rule for rule in self.severities}).items():
            if rule not in RULE_NAMES and rule not in own:
                _check_name(rule, where, [*RULE_NAMES, *own, *installed_rules()])


class CaptionReading(CheckedConfig, frozen=True, kw_only=True):
    """How the trainer reads a caption, if its settings differ from the defaults of ``model`` and ``trainer``.

    Args:
        max_tokens: the trainer's token limit, from 1 to 2,000, such as 225 for three blocks of CLIP.
        tokenizer: the path of a ``tokenizer.json``, or ``"module:function"``. Without it, CLIP's tokens are counted
            with CLIP's tokenizer, and T5's tokens are estimated from words.
        first_line_only: the trainer reads only the first line of a caption file.
        syntax: the prompt syntax that the trainer resolves itself, so that the rules accept it: ``"weights"`` for
            ``(cat:1.2)``, ``"choices"`` for ``{a|b}``, ``"wildcards"`` for ``__animal__``, ``"networks"`` for
            ``<lora:name:1>``, ``"trigger"`` for ``[trigger]``, ``"names"`` for ``[name]``, ``"separator"`` for ``|||``.
    """

    max_tokens: Tokens | None = None
    tokenizer: str | None = None
    first_line_only: bool = False
    syntax: tuple[Syntax, ...] = ()


class CaptionConfig(CheckedConfig, frozen=True, kw_only=True):
    """The settings of the caption rules.

    Args:
        min_words: captions with fewer words are ``short``; from 0 to 2,000. In a script without spaces, about two
            characters (Chinese, Japanese, Korean) or four (Thai, Khmer, ...) count as one word.
        max_words: captions with more words are ``long``; from 1, or ``min_words``, to 2,000. About 55 English words
            fill CLIP's 77 tokens, 190 fill 256 tokens of T5 (SD3), 380 fill 512 (Flux).
        profiles: the kind of captions by dataset name: ``"prose"``, ``"tags"`` (comma-separated, as in
            booru lists), ``"instance"`` (a trigger word or one caption for every image: never ``short``), or ``"auto"``
            to guess the profile from the captions of the dataset.
        default_profile: the profile of datasets that ``profiles`` does not name.
        model: the family of the trained model, which sets the token limit: ``"sd15"``, ``"sdxl"``, ``"sd3"``,
            ``"flux"``, ``"qwen-image"``, ... (`loss_logging.captions.token_limits.FAMILIES`). Without it, a caption of
            more than CLIP's 75 tokens gets an ``info``.
        trainer: ``"kohya"``, ``"musubi"``, ``"ai-toolkit"``, ``"onetrainer"``, ``"diffusion-pipe"``, ``"simpletuner"``
            or ``"diffusers"``. It decides which files of a folder hold captions, which prompt syntax is resolved, and
            how many tokens the model reads.
        triggers: the trigger word or phrase by dataset name; the rule ``trigger`` reports captions without it.
        default_trigger: the trigger of datasets that ``triggers`` does not name; None for no trigger.
        ignore: accepted captions, in the lines of an `IgnoreList`.
        rules: the active rules and their severities, a mapping with keys of `CaptionRules`.
        reading: how the trainer reads a caption, a mapping with keys of `CaptionReading`.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or a rule or profile does not exist.

    Example:
        >>> CaptionConfig(min_words=5, profiles={"portraits": "instance"}).default_profile
        'auto'
        >>> CaptionConfig.from_dict({"rules": {"disabled": ["shrot"]}})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        loss_logging.errors.ConfigError: $.rules.disabled[0]: got 'shrot' (str); allowed: ...; did you mean short?
    """

    min_words: FewestWords = 3
    max_words: MostWords = 380
    profiles: dict[str, Profile] = msgspec.field(default_factory=dict)
    default_profile: Profile = "auto"
    model: str | None = None
    trainer: TrainerName | None = None
    triggers: dict[str, Phrase] = msgspec.field(default_factory=dict)
    default_trigger: Phrase | None = None
    ignore: tuple[str, ...] = ()
    rules: CaptionRules = msgspec.field(default_factory=CaptionRules)
    reading: CaptionReading = msgspec.field(default_factory=CaptionReading)

    _old_keys: ClassVar[Mapping[str, str]] = {
        "rules": "rules.own",
        "disabled_rules": "rules.disabled",
        "severities": "rules.severities",
        "scores": "",
        "messages": "",
        "max_tokens": "reading.max_tokens",
        "tokenizer": "reading.tokenizer",
        "first_line_only": "reading.first_line_only",
        "syntax": "reading.syntax",
    }

    @classmethod
    def _checks(cls) -> Mapping[str, Check]:
        return {"model": _check_model, "rules": check_section, "reading": check_section}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_words < self.min_words:
            allowed = f"a whole number of words from min_words, {self.min_words}, to 2000"
            raise ConfigError(f"$.max_words: got {shown(self.max_words)}; allowed: {allowed}")
        IgnoreList(self.ignore)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a YAML, JSON or TOML file with these keys, or a file of a `TrainConfig` with them under ``captions``.

        Raises:
            ConfigError: the file has another format or an invalid configuration; the message names the file and the
                key.
            OSError: the file cannot be read.
        """
        try:
            content = parse_file(Path(path))
            if isinstance(content, Mapping) and "captions" in content:
                return check_section(content["captions"], cls, "$.captions")
            return cls.from_dict(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def profile(self, dataset: str) -> Literal["auto"] | Style:
        """The profile of a dataset.

        >>> CaptionConfig(profiles={"anime": "tags"}).profile("anime")
        'tags'
        """
        return self.profiles.get(dataset, self.default_profile)

    def resolves(self, syntax: str) -> bool:
        """Whether the trainer resolves a kind of prompt syntax, such as ``"choices"``.

        >>> CaptionConfig(trainer="ai-toolkit").resolves("trigger"), CaptionConfig(trainer="kohya").resolves("choices")
        (True, False)
        """
        return syntax in self.reading.syntax or (self.trainer is not None and syntax in TRAINERS[self.trainer].resolves)

    def trigger(self, dataset: str) -> str | None:
        """The trigger word of a dataset; None for a dataset without one.

        >>> CaptionConfig(triggers={"me": "ohwx man"}).trigger("me")
        'ohwx man'
        """
        return self.triggers.get(dataset, self.default_trigger)


def _check_model(value: Any, hint: Any, where: str) -> str | None:
    if value is not None:
        _check_name(value, where, FAMILIES)
    model: str | None = convert(value, hint, where)
    return model


def _check_name(value: Any, where: str, allowed: Iterable[str]) -> None:
    if value not in (names := list(allowed)):
        raise ConfigError(f"{where}: got {shown(value)}; allowed: {', '.join(names)}{near_miss(value, names)}")
