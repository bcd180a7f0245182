"""CaptionChecker: applies every rule to a caption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from loss_logging.captions.across import Rule
from loss_logging.captions.caption import Caption
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.encoder import TextEncoder, Tokenizer
from loss_logging.captions.names import RULE_NAMES, Style, installed_rules
from loss_logging.captions.reason import Reason
from loss_logging.captions.rulebook import RULES
from loss_logging.captions.verdict import Verdict
from loss_logging.errors import ConfigError
from loss_logging.support.names import load
from loss_logging.support.warn import LOGGER, warn_once

__all__ = ["TOGETHER", "CaptionChecker", "adjusted"]

TOGETHER = 32
"""Captions that each rule sees in a row."""


class CaptionChecker:
    """Applies the rules to one caption at a time; keeps no captions.

    Args:
        config: the settings of the rules; the defaults when None.
        rules: your own rules, in addition to the rules of the configuration and of installed packages.
        tokenizer: a function from a text to its tokens or their number; replaces the configuration's tokenizer.

    Raises:
        ConfigError: a rule or a tokenizer that the configuration names does not exist, or two rules share a name.

    Example:
        >>> check = CaptionChecker().check
        >>> check("a red panda eats bamboo in the snow", "animals") is None
        True
        >>> check("a red panda <unk> bamboo", "animals").rules
        ['suspicious']
        >>> check("nan", "animals").severity
        'error'
    """

    def __init__(
        self,
        config: CaptionConfig | None = None,
        *,
        rules: Iterable[Rule] = (),
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.config = config or CaptionConfig()
        self.encoder = TextEncoder.of(self.config, tokenizer)
        own = _own_rules(self.config, rules)
        self._rules = [rule for name, rule in [*RULES.items(), *own.items()] if name not in self.config.rules.disabled]

    @property
    def has_rules(self) -> bool:
        """Whether there is a rule that may object."""
        return bool(self._rules)

    def check(self, caption: str, dataset: str, style: Style | None = None) -> Verdict | None:
        """The verdict on a caption of a dataset, or None when no rule objects.

        The time is proportional to the length of the caption, up to `READ_LIMIT` characters. ``style`` is the guessed
        style of the dataset; None guesses it from this caption alone.
        """
        (verdict,) = self._check([(caption, dataset, style)])
        return verdict

    def check_all(self, captions: Iterable[tuple[str, str, Style | None]]) -> Iterator[Verdict | None]:
        """`check` of many captions, each with its dataset and style, in less time."""
        captions = iter(captions)
        while some := list(islice(captions, TOGETHER)):
            yield from self._check(some)

    def _check(self, captions: list[tuple[str, str, Style | None]]) -> list[Verdict | None]:
        """The verdicts; a rule sees one caption after the other, as it is faster while the processor remembers it."""
        seen = [
            Caption.read(caption, dataset, self.config, self.encoder, style) for caption, dataset, style in captions
        ]
        reasons: list[list[Reason]] = [[] for _ in seen]
        left: Sequence[int] = range(len(seen))
        for rule in self._rules:
            said = list(map(rule, seen))
            if not any(said):
                continue
            found = [(place, reason) for place, reason in zip(left, said, strict=True) if reason]
            for place, reason in found:
                reasons[place].append(adjusted(reason, self.config))
            if empty := {place for place, reason in found if reason.rule == "empty" and reason.severity == "error"}:
                # nothing is left in them that another rule could judge
                seen = [caption for place, caption in zip(left, seen, strict=True) if place not in empty]
                left = [place for place in left if place not in empty]
        return [Verdict(tuple(found)) if found else None for found in reasons]


def adjusted(reason: Reason, config: CaptionConfig) -> Reason:
    """The reason with the severity that the configuration gives to its rule."""
    severity = config.rules.severities.get(reason.rule)
    return reason if severity is None else msgspec.structs.replace(reason, severity=severity)


def _own_rules(config: CaptionConfig, given: Iterable[Rule]) -> dict[str, Rule]:
    """The user's rules by name, each guarded."""
    found = [(name, load(point.value, f"the installed rule {name}")) for name, point in installed_rules().items()]
    found += [(rule.partition(":")[2], load(rule, f"$.rules.own[{i}]")) for i, rule in enumerate(config.rules.own)]
    found += [(getattr(rule, "__name__", type(rule).__name__), rule) for rule in given]
    own: dict[str, Rule] = {}
    for name, rule in found:
        if name in own or name in RULE_NAMES:
            raise ConfigError(f"two rules have the name {name!r}; rename your rule (taken: {', '.join(RULE_NAMES)})")
        own[name] = _guarded(name, rule)
    return own


def _valid(name: str, reason: object) -> Reason:
    """The reason under the rule's public name; raises if a report cannot hold it."""
    if not isinstance(reason, Reason):
        raise TypeError(f"it returned a {type(reason).__name__}; allowed: None, or a Reason")
    packed = msgspec.msgpack.encode(msgspec.structs.replace(reason, rule=name))
    valid = msgspec.msgpack.decode(packed, type=Reason)
    if not 0 < valid.score <= 1:
        raise ValueError(f"score is {valid.score!r}; allowed: above 0 and up to 1")
    return valid


def _guarded(name: str, rule: Rule) -> Rule:
    """The rule under its public name. If it raises, a warning says so, and the caption passes this rule."""

    def guarded(caption: Caption) -> Reason | None:
        try:
            reason = rule(caption)
            return reason if reason is None else _valid(name, reason)
        except Exception as error:  # noqa: BLE001 somebody else wrote the rule; the check of the captions goes on
            LOGGER.debug("the caption rule %s failed", name, exc_info=error)
            warn_once(f"caption rule {name}", f"the caption rule {name} failed: {type(error).__name__}: {error}")
            return None

    return guarded
