"""CaptionConfig: what a user may say about captions."""

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

# No text encoder reads more than 2,000 words, and every language fits so many into READ_LIMIT.
FewestWords: TypeAlias = Annotated[int, Meta(ge=0, le=2_000, description="a whole number of words from 0 to 2000")]
MostWords: TypeAlias = Annotated[int, Meta(ge=1, le=2_000, description="a whole number of words from 1 to 2000")]
Tokens: TypeAlias = Annotated[int, Meta(ge=1, le=2_000, description="a whole number of tokens from 1 to 2000")]
Phrase: TypeAlias = Annotated[str, Meta(pattern=r"\S", description="a word or phrase")]


class CaptionRules(CheckedConfig, frozen=True, kw_only=True):
    """Which rules look at captions, and how grave they are.

    Args:
        disabled: names of rules to leave out.
        severities: ``"error"``, ``"warning"`` or ``"info"`` by rule, instead of the rule's own.
        own: your own rules, each ``"module:function"``; see `loss_logging.captions.rulebook`.
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
    """What the trainer reads of a caption, where it is set up in another way than ``model`` and ``trainer`` say.

    Args:
        max_tokens: the trainer's own limit, from 1 to 2,000, such as 225 for three blocks of CLIP.
        tokenizer: the path of a ``tokenizer.json``, or ``"module:function"``; CLIP's own without it. For T5 without
            it, tokens are estimated by words.
        first_line_only: the trainer reads only the first line of a caption file.
        syntax: what the trainer resolves itself, and what therefore is no left-over in a caption: ``"weights"`` for
            ``(cat:1.2)``, ``"choices"`` for ``{a|b}``, ``"wildcards"`` for ``__animal__``, ``"networks"`` for
            ``<lora:name:1>``, ``"trigger"`` for ``[trigger]``, ``"names"`` for ``[name]``, ``"separator"`` for ``|||``.
    """

    max_tokens: Tokens | None = None
    tokenizer: str | None = None
    first_line_only: bool = False
    syntax: tuple[Syntax, ...] = ()


class CaptionConfig(CheckedConfig, frozen=True, kw_only=True):
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
        model: what is trained, for the tokens that it reads: ``"sd15"``, ``"sdxl"``, ``"sd3"``, ``"flux"``,
            ``"qwen-image"``, ... (`loss_logging.captions.token_limits.FAMILIES`). Without it, captions over CLIP's 75
            tokens are worth an ``info``.
        trainer: ``"kohya"``, ``"musubi"``, ``"ai-toolkit"``, ``"onetrainer"``, ``"diffusion-pipe"``, ``"simpletuner"``
            or ``"diffusers"``: what is a caption in a folder, what is resolved in it, and how many tokens of it the
            model gets.
        triggers: the trigger word or phrase of a dataset, by its name: it is missed in captions without it.
        default_trigger: the one of datasets that ``triggers`` does not name; None for none.
        ignore: what is fine as it is, in the lines of an `IgnoreList`.
        rules: which rules there are, a mapping with keys of `CaptionRules`.
        reading: what the trainer reads of a caption, a mapping with keys of `CaptionReading`.

    Raises:
        ConfigError: a value is of the wrong type or impossible, or a rule or profile does not exist.

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
        """Build from a YAML, JSON or TOML file: its keys, or a TrainConfig's under ``captions``.

        Raises:
            ConfigError: the file is none of these, or holds no valid configuration; names the file and the key.
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
        """Whether the trainer resolves a kind of syntax.

        >>> CaptionConfig(trainer="ai-toolkit").resolves("trigger"), CaptionConfig(trainer="kohya").resolves("choices")
        (True, False)
        """
        return syntax in self.reading.syntax or (self.trainer is not None and syntax in TRAINERS[self.trainer].resolves)

    def trigger(self, dataset: str) -> str | None:
        """The trigger word of a dataset.

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
