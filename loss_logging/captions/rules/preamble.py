"""preamble: phrases of a captioner's answer to a person, before or after the description."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loss_logging.captions.alternatives import Alternatives, Caseless
from loss_logging.captions.caption import any_of, in_quotes, quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["preamble"]

_THING = r"(?:captions?|descriptions?|prompts?|summary|analysis|breakdown|list of tags|tags|tag list|answer|alt text)\b"
_KIND = r"(?:image|photo|detailed|short|long|final|suggested|generated|training|prose|english|brief)"
_YES = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|alright|great|understood|got it|no problem)"

_OPENINGS = (
    rf"{_YES}\s?[!,.:]\s{{0,3}}(?:here|below|the following|I(?:['’]ll|['’]ve| will| can| have)\b|let['’]?s|let me)",
    rf"{_YES}\s?[!,.:]\s{{0,3}}[\"“*]",
    r"(?:sure(?: thing)?|certainly|of course|absolutely|understood|got it)!\s",
    rf"(?:a|the|one) (?:possible |suggested |good |suitable )?(?:caption|description)(?: for (?:this|the) {_KIND})? "
    r"(?:is|could be|would be|might be)\b",
    rf"here(?:['’]s| is| are) (?:a|an|the|my|your|one|some) (?:[\w,'-]{{1,20}} ){{0,5}}?{_THING}",
    rf"below is (?:a|an|the) (?:[\w-]{{1,20}} ){{0,4}}?{_THING}",
    rf"(?:{_KIND} ){{0,2}}(?:caption|description|prompt|answer|response|output|tags|alt text)"
    r"[\s\"'*]{0,3}[:：]\*{0,2}\s",
    r"based on (?:the|this|your) (?:image|picture|photo)(?: (?:provided|you\b[^,]{0,30}))?, (?:here|I)\b",
    r"I(?:['’]ll| will| can|['’]d be happy to| would be happy to) (?:describe|provide|help|give|caption)\b",
    r"(?:当然|好的|没问题|當然)[，,！!。]|以下(?:是|为)(?:对|这|该|此|图|一|我)|(?:图片|图像|圖片)?(?:描述|说明|标题|說明)[:：]",
    r"(?:もちろん|承知)(?:です|しました)?[、。！]|はい、(?:以下|こちら|画像)",
    r"以下(?:は|に).{0,12}(?:説明|キャプション)",
    r"(?:画像の)?(?:説明|キャプション)[:：]",
    r"물론(?:이죠|입니다)?[,!. ]|네[,!] (?:다음|이미지|여기|아래)|다음은 .{0,12}(?:설명|캡션)",
    r"(?:이미지 )?(?:설명|캡션)[:：]",
    r"(?:natürlich|gerne|klar)[!,]\s(?:hier|ich)|hier ist (?:eine|die) (?:\w+ ){0,2}(?:beschreibung|bildunterschrift)",
    r"(?:bild)?(?:beschreibung|unterschrift)[:：]\s",
    r"bien sûr\s?[!,]|voici (?:une|la) (?:description|légende)|légende\s?[:：]\s",
    r"(?:claro|por supuesto)[!,]\s(?:aquí|aqui)|aquí (?:tienes|está) (?:una|la) (?:\w+ )?descripción",
    r"aqui está (?:uma|a) descrição|certo[!,]\secco|ecco (?:una|la) descrizione|descri(?:pción|ção|zione)[:：]\s",
    r"(?:конечно|разумеется)[!,]|вот (?:\w+ )?(?:описание|подпись)|(?:описание|подпись)[:：]\s",
)
_OPENING = Caseless(rf"[\s\"'*]{{0,9}}(?:{'|'.join(_OPENINGS)})")

# The parts hold no "i", which has four forms without case.
_CLOSING = Alternatives(
    {
        "know": (r"let me know if\b", ("let me ",)),
        "there": (r"is there anything else", (" there any",)),
        "like": (r"(?:would|do) you (?:like|want) (?:me )?(?:to|any|more|a )\b", ("d you ", "do you ")),
        "hope": (r"(?:I )?hope (?:this|that) (?:helps|(?:description|caption) (?:helps|meets|is))", ("hope th",)),
        "free": (r"feel free to (?:ask|let|reach)", ("feel free to ",)),
        "need": (r"if you(?: need| have|['’]d like| would like| want) (?:any |more |a |me |to |further )", ("f you",)),
        "aims": (
            r"(?:this|the) (?:caption|prompt|description) (?:captures|is designed|aims)",
            (" capt", " prompt ", " descr"),
        ),
        "note": (r"note that (?:I|this caption)\b", ("note that ",)),
        "count": (r"\(?word count:", ("word count:",)),
        "asia": (
            r"希望(?:这|以上|这个).{0,8}(?:帮助|有用)|如果(?:您|你)(?:需要|有).{0,20}(?:告诉|请|问题)"
            r"|お役に立て|도움이 되(?:길|기를|셨|었으면|면 좋겠)",
            ("希望", "如果", "お役に立て", "도움이 되"),
        ),
    },
    re.IGNORECASE,
)
# Each pattern needs one of these words or parts, so a caption without any of them is skipped quickly.
_OPENING_WORDS = """sure certainly course absolutely okay ok alright great understood got problem caption description
here here's here’s below prompt answer response output tags text based describe provide help give gerne klar hier
beschreibung bildbeschreibung unterschrift bildunterschrift voici claro supuesto certo ecco descrizione"""
_CLOSING_WORDS = "know you you'd you’d hope feel caption prompt description note word else"
_HINTS = frozenset(f"{_OPENING_WORDS} {_CLOSING_WORDS}".split())
_FOREIGN_HINTS = any_of((
    "natürlich", "bien sûr", "légende", "aquí", "descri", "конечно", "разумеется", "вот", "описание", "подпись",
    "当然", "當然", "好的", "没问题", "以下", "描述", "说明", "說明", "标题", "希望", "如果",
    "もちろん", "承知", "はい、", "説明", "キャプション", "役に立て", "물론", "네", "다음은", "설명", "캡션", "도움이",
))  # fmt: skip
_TAIL = 240  # characters at the end that may hold a captioner's closing words


def preamble(caption: Caption) -> Reason | None:
    """Words addressed to a person: "Sure! Here is a caption:", "Caption:", "Let me know if ...", in several languages.

    "The image shows ..." is a description, and fine.
    """
    text = caption.text
    if _HINTS.isdisjoint(caption.vocabulary) and (text.isascii() or not _FOREIGN_HINTS.search(caption.folded)):
        return None
    if match := _OPENING.match(text, caption.folded):
        return _reason(text, match.span(), "opens")
    found = _CLOSING.finditer(text, caption.folded, max(0, len(text) - _TAIL))
    match = next((one for one in found if not in_quotes(text, one.start())), None)
    return match and _reason(text, match.span(), "closes")


def _reason(text: str, span: tuple[int, int], does: str) -> Reason:
    message = f"{quote(text[slice(*span)])} {does} a captioner's answer to a person: keep only the description."
    return Reason("preamble", "warning", 0.7, message, span)
