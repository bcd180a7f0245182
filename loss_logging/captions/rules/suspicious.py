"""suspicious: characters and tokens that no one writes about an image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loss_logging.report import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["suspicious"]

# Ordinary captions hold none of these, which is quickly seen.
_HINT = re.compile(r"[<\[\\#`\ufeff\ufffd\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

# Every alternative starts with a literal or a character class and is bounded, so that one pass over the text suffices.
_SUSPICIOUS = re.compile(
    r"""
      (?P<lost>     \ufffd | [\ud800-\udfff] )
    | (?P<escape>   \\u[0-9a-fA-F]{4} | \\U[0-9a-fA-F]{8} | \\x[0-9a-fA-F]{2} )
    | (?P<control>  [\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f] )
    | (?P<token>    <\|[\w-]{1,40}\|> | <｜[^｜<>]{1,40}｜>
                  | </?(?i:unk|pad|s|bos|eos|mask|sep|cls|image|sys|start_of_turn|end_of_turn)>
                  | <extra_id_[0-9]{1,4}> | <0x[0-9A-F]{2}>
                  | <</?SYS>> | \[/?(?:INST|UNK|PAD|CLS|SEP|MASK|BOS|EOS)\] )
    | (?P<template> \#{3,} | ``` )
    | (?P<bom>      \ufeff )
    """,
    re.VERBOSE,
)

_ADVICE: dict[str, tuple[Severity, float, str]] = {
    "lost": ("error", 0.9, "a character was lost when the text was decoded; read the source again with its encoding"),
    "escape": ("error", 0.8, "an escape was never decoded; read the source as JSON or with its encoding"),
    "control": ("warning", 0.6, "a control character; remove it and check the encoding of the source"),
    "token": ("error", 0.9, "a special token of a language model; remove it"),
    "template": ("warning", 0.5, "a left-over of a prompt or Markdown template; remove it"),
    "bom": ("warning", 0.4, "a byte order mark; read the caption file as utf-8-sig"),
}


def suspicious(caption: Caption) -> Reason | None:
    """Left-overs of decoding and of language models: U+FFFD, ``<unk>``, ``###``, ``<|endoftext|>``, ``[INST]``, ...

    The worst one found is reported. Emoticon tags (``<o>_<o>``, ``\\m/``), escaped brackets (``\\(series\\)``) and
    textual-inversion tokens (``<s0>``, ``<my-cat>``) are fine.
    """
    if not _HINT.search(caption.text):
        return None
    worst: re.Match[str] | None = None
    for match in _SUSPICIOUS.finditer(caption.text):
        if worst is None or _score(match) > _score(worst):
            worst = match
    if worst is None:
        return None
    severity, score, advice = _ADVICE[worst.lastgroup or ""]
    return Reason("suspicious", severity, score, f"Contains {worst[0]!a}: {advice}.", worst.span())


def _score(match: re.Match[str]) -> float:
    return _ADVICE[match.lastgroup or ""][1]
