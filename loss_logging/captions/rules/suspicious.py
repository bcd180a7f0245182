"""suspicious: leftovers of models and programs that are no description."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loss_logging.captions.alternatives import Alternatives
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["suspicious"]

# Every alternative starts with a literal or a character class and is bounded, so that one pass over the text suffices.
_SUSPICIOUS = Alternatives(
    {
        "token": (
            r"""<\|[\w-]{1,40}\|> | <｜[^｜<>]{1,40}｜>
                | </?(?i:unk|pad|s|bos|eos|mask|sep|cls|image|sys|think|start_of_turn|end_of_turn|start_of_image
                        |end_of_image|image_soft_token|box|bbox|ref|quad|poly|phrase|grounding|obj|eoc)>
                | <(?:(?:MORE_)?(?:DETAILED_)?CAPTION|OD|OCR|OCR_WITH_REGION|DENSE_REGION_CAPTION|REGION_PROPOSAL)>
                | <(?:loc_|extra_id_|img_|patch_index_)[0-9]{1,4}> | <0x[0-9A-F]{2}>
                | <</?SYS>> | \[/?(?:INST|UNK|PAD|CLS|SEP|MASK|BOS|EOS)\]""",
            ("<", "["),
        ),
        "template": (r"\#{3,} | ```", ("###", "```")),
        "repr": (
            r"\[object\ (?:Object|Array|Undefined|Null)\] | \nName:\ \w{1,40},\ dtype:\ \w{1,20}\s*\Z",
            ("[object ", ", dtype: "),
        ),
        "role": (
            r"(?:^|(?<=\n)) (?:ASSISTANT|USER|SYSTEM|Assistant|User|Human)\s?:",
            ("ASSISTANT", "USER", "SYSTEM", "Assistant", "User", "Human"),
        ),
        "turn": (  # a chat whose special tokens were left out in decoding
            r"""\A\s*(?:assistant[ ]*\n | (?:system|user)[ ]*\n (?=.{0,4000}\n(?:assistant|model)[ ]*\n))""",
            ("assistant", "user", "system"),
        ),
        "null": (
            r"""(?<![\w'"“-])(?:of|by|with|titled|named|called)\ (?:None|NaN|null|undefined)(?=\s*(?:[,.;]|\Z))
                | (?:photo|image|picture|painting|drawing)\ of\ (?:nan|none)\s*\Z""",
            (" None", " NaN", " null", " undefined", " nan", " none"),
        ),
        "invented": (r"\b[Aa]raf(?:ed|fe[ds]?|fy|fes)\b", ("araf", "Araf")),
    },
    re.VERBOSE | re.DOTALL,
)

_OBJECT = r"""(?:[\w.]{1,80}\ object\ at\ 0x | class\ '[\w.]{1,80}' | (?:built-in\ )?function\ [\w.<]
    | (?:generator|coroutine|map|zip|filter)\ object\  | bound\ method\  | PIL\.[\w.]{1,60}\ image\ mode=)"""
_PRINTED = re.compile(
    rf"""\s*(?:
        b(?:'(?=.*'\s*\Z) | "(?=.*"\s*\Z))
      | \[\ *["'](?=.*["']\ *\]\s*\Z)
      | \((?=(?:'[^']*' | "[^"]*"),)(?=.*["'],?\)\s*\Z)
      | \{{'(?=[^']{{0,200}}'\s?:)(?=.*\}}\s*\Z)
      | \{{'(?=[^|]*'\}}\s*\Z)
      | <{_OBJECT}
      | (?:(?:np|numpy|torch|pd)\.)?
        (?:str_|bytes_|array|tensor|Series|dict_values|dict_keys|OrderedDict|deque|frozenset)
        \([\[('"{{](?=.*\)\s*\Z)
      | [A-Z]\w{{0,60}}\(\w{{1,60}}=['"\[{{\d](?=.*\)\s*\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
"""The whole caption as Python prints a value: bytes, a list, a tuple, a dictionary, an array, an object."""
_CLOSING = frozenset("'\"])}> \n")  # what such a value ends with, and few captions do

# Each pattern needs one of these signs or words, so an ordinary caption is skipped quickly.
_SIGNS = frozenset("<[#`")
_WORDS = "none nan null undefined assistant user human system dtype arafed araffe araffed araffes araffy"
_HINTS = frozenset(_WORDS.split())

_NULL_TAGS = frozenset({"nan", "null", "undefined", "n/a", "<na>"})
_NULL_HINTS = _NULL_TAGS | {"none"}
_COMMA = re.compile(r"[,，、]")

_ADVICE: dict[str, tuple[Severity, float, str]] = {
    "token": ("error", 0.9, "a special token of a model; remove it"),
    "template": ("warning", 0.5, "a leftover of a prompt or Markdown template; remove it"),
    "repr": ("error", 0.8, "a value of a program rather than its text; write the text itself"),
    "turn": ("error", 0.8, "the name of a speaker in a chat; keep only the description"),
    "role": ("error", 0.8, "the name of a speaker in a chat; keep only the description"),
    "null": ("error", 0.8, "a missing value was filled in; write the real one or remove it"),
    "invented": ("warning", 0.5, "a word that BLIP makes up; remove it"),
}


def suspicious(caption: Caption) -> Reason | None:
    """Leftovers of models and programs: ``<unk>``, ``###``, ``<|endoftext|>``, ``[INST]``, "a photo of None", ...

    The reason names the worst one. Emoticon tags (``<o>_<o>``, ``\\m/``), escaped brackets (``\\(series\\)``) and
    textual-inversion tokens (``<s0>``, ``<my-cat>``) are fine, and so is JSON, which some trainers read.
    """
    text = caption.text
    worst = _PRINTED.match(text) if text[-1:] in _CLOSING else None
    if not (_SIGNS.isdisjoint(caption.signs) and _HINTS.isdisjoint(caption.vocabulary)):
        for match in _SUSPICIOUS.finditer(text):
            if worst is None or _score(match) > _score(worst):
                worst = match
    if worst is None:
        return _null_tag(caption) if caption.style == "tags" else None
    severity, score, advice = _ADVICE[worst.lastgroup or "repr"]
    return Reason("suspicious", severity, score, f"Contains {worst[0].strip()!a}: {advice}.", worst.span())


def _score(match: re.Match[str]) -> float:
    return _ADVICE[match.lastgroup or "repr"][1]


def _null_tag(caption: Caption) -> Reason | None:
    """A missing value among tags."""
    if _NULL_HINTS.isdisjoint(caption.vocabulary):
        return None
    start = 0
    for tag in _COMMA.split(caption.text):
        word = tag.strip()
        if word.casefold() in _NULL_TAGS or word == "None":
            at = caption.text.index(word, start)
            message = f"The tag {word!a} stands for a missing value; remove it."
            return Reason("suspicious", "warning", 0.6, message, (at, at + len(word)))
        start += len(tag) + 1
    return None
