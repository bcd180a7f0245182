"""template: a placeholder that was not filled in, or a prompt syntax that the trainer does not resolve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from loss_logging.captions.caption import by_signs, holds_any, quote
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["template"]

_NAMES = (
    r"(?:name|subject|person|character|object|style|class|class[ _]?name|token|concept|filewords?|caption|prompt"
    r"|description|artist|location|place|colou?r|age|gender|adjective|noun|verb|animal|placeholder|instance"
    r"|instance[ _]?token|identifier)"
)
_TRIGGER = r"trigger(?:[ _-]?(?:word|token|phrase)s?)?"
_ASKS = (  # [Enter] and [Insert] are keys
    r"(?:(?:insert|add|enter|put|replace|write)\b(?![\]>}])|(?:your|describe|fill[ _]in|specify)\b)"
)

_TEMPLATE = re.compile(
    rf"""
      (?P<trigger>   [\[{{<](?i:{_TRIGGER})[\]}}>]
                   | \b(?:TRIGGER_?WORD|trigger_word|YOUR_?TRIGGER\w{{0,20}}|TRIGGERHERE)\b )
    | (?P<names>     \[(?i:{_NAMES}(?:[\ _-]name)?)\] | <(?:subject|name|placeholder|class|concept|character)> )
    | (?P<wildcards> (?<!\w)__(?=[\w/.*-]{{0,60}}[A-Za-z])[A-Za-z0-9*][\w/.*-]{{0,60}}?__(?!\w)
                   | <wildcard:[^<>\n]{{1,200}}> )
    | (?P<networks>  <(?i:lora|lyco|locon|loha|hypernet|embedding)s?:[^<>\n]{{1,200}}>
                   | (?<![\w:])embedding:[\w./-]{{2,100}} )
    | (?P<weights>   \((?=[^()\n]*[^\W\d])[^()\n]{{1,200}}:\s?(?:[0-2]?\.[0-9]{{1,3}}|[0-2]\.)\)
                   | \([^()\n]{{0,200}}[^\W\d_]\s?:\s?[0-2]\)
                   | \[[^\[\]\n:]{{0,100}}:[^\[\]\n:]{{0,100}}:\s?[01]?\.[0-9]{{1,3}}\] )
    | (?P<choices>   \{{[^{{}}\n<>=]{{0,300}}\|[^{{}}\n<>=]{{0,300}}\}}
                   | \[(?=[^\[\]\n|]{{0,99}}\w)[^\[\]\n|]{{1,100}}\|[^\[\]\n]{{1,100}}\] )
    | (?P<separator> \|\|\| )
    | (?P<variable>  \$?\{{\{{?\s?[A-Za-z_][\w.]{{0,40}}\s?\}}?\}} | %\([A-Za-z_]\w{{0,40}}\)s
                   | (?<![^\s,.'"“(])\{{[0-9]?\}}(?=[\s,.;'"”)]|\Z)
                   | (?<![^\s,])%s(?=[\s,.]|\Z) | <%=?\s?\w[^<>%]{{0,60}}%> )
    | (?P<asks>      [\[<{{](?i:{_ASKS})[^\[\]<>{{}}\n]{{0,80}}[\]>}}]
                   | \b(?:INSERT|YOUR)_[A-Z_]{{2,40}}\b | (?i:lorem\ ipsum\ dolor) )
    """,
    re.VERBOSE,
)
_HINTS = by_signs(
    (
        "trigger",
        "lorem ipsum",
        "[",
        "{",
        "|||",
        "__",
        "<",
        "embedding:",
        ":0",
        ":1",
        ":2",
        ": 0",
        ": 1",
        ":.",
        "%",
        "insert_",
        "your_",
    )
)

_ADVICE: dict[str, tuple[Severity, float, str]] = {
    "trigger": ("error", 0.8, "write the trigger word, unless the trainer does (syntax: [trigger])"),
    "names": ("error", 0.7, "write the name, unless the trainer does (syntax: [names])"),
    "wildcards": ("error", 0.7, "write a real word, unless the trainer does (syntax: [wildcards])"),
    "networks": ("error", 0.8, "it loads a network when an image is generated; remove it (or set syntax: [networks])"),
    "weights": ("warning", 0.6, "keep the words alone, unless the trainer reads weights (syntax: [weights])"),
    "choices": ("error", 0.7, "write one of them, unless the trainer chooses (syntax: [choices])"),
    "separator": ("info", 0.2, "it is trained on unless the trainer shuffles tags there (syntax: [separator])"),
    "variable": ("error", 0.7, "write the value of the variable"),
    "asks": ("error", 0.9, "write what it asks for"),
}

# What an alternative begins with. One set of characters comes first, as a search for that is fast.
_START = re.compile(
    r"[\[{<(_$|%TYIlLte](?:(?<=[^TYIlLte])|(?=RIGGER|OUR|NSERT)|(?<=[lL])(?=[oO])|(?<!\w[te])(?=rigger_word|mbedding:))"
)

_STRUCTURED = re.compile(r"\s*[\[{]\s*[\"{\[]")


def template(caption: Caption) -> Reason | None:
    """``[trigger]``, ``[name]``, ``__animal__``, ``{a|b}``, ``{name}``, ``<lora:cat:1>``, ``(cat:1.2)``, "[insert ..]".

    ``CaptionReading.syntax`` names the syntax that the trainer resolves. Tags such as ``saber (fate)``, ``@__@`` and
    ``:{``, a ratio of (16:9), a time, and JSON captions are fine. Kohya's ``|||`` ends the tags that are not shuffled;
    it gets an ``info``, as it stays in the text if nothing is shuffled.
    """
    text = caption.text
    if not holds_any(caption.folded, _HINTS(caption.signs)):
        return None
    structured = _STRUCTURED.match(text) is not None
    for match in _matches(text):
        kind = match.lastgroup or ""
        if caption.config.resolves(kind) or (structured and kind in ("choices", "variable")):
            continue
        severity, score, advice = _ADVICE[kind]
        return Reason(
            "template", severity, score, f"{quote(match[0])} is no part of a description: {advice}.", match.span()
        )
    return None


def _matches(text: str) -> Iterator[re.Match[str]]:
    """The matches in a text, without trying all alternatives at each of its letters."""
    end = 0
    for start in _START.finditer(text):
        if start.start() >= end and (match := _TEMPLATE.match(text, start.start())) is not None:
            end = match.end()
            yield match
