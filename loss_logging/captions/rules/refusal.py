"""refusal: the answer of a captioner that refused or failed to describe the image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loss_logging.captions.alternatives import Caseless
from loss_logging.captions.caption import any_of, in_quotes, quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["refusal"]

_CANNOT = (
    r"(?:can ?not|can['’]?t|could not|couldn['’]t|(?:am|['’]m) (?:not able to|unable to|not going to)|won['’]t|will not"
    r"|do not|don['’]t)"
)
_DO = (
    r"(?:assist|help|provide|describe|identify|fulfil|fulfill|comply|process|view|see|analy[sz]e|generate|create|access"
    r"|caption|continue|engage|comment|recogni[sz]e|discuss|answer|produce|write|open|display|have|feel comfortable)"
)
_IMAGE = r"(?:image|picture|photo|photograph|file|link|attachment)"

# Each pattern matches at the start of the caption or of a clause, as a trigger word may come first.
_REFUSALS = (
    # English
    r"(?:I['’]m |I am |we['’]re )?(?:very |so |really )?sorry[,.;!]? (?:but )?"
    r"(?:I|as an|this (?:image|photo|picture|content|request)|the image|there (?:is|was) no (?:image|photo|picture)"
    r"|we(?!(?:['’]?re| are) (?:temporarily |currently |fully |not )?(?:closed|full|sold|booked|open)\b)"
    r"|it (?:seems|looks|appears))\b",
    r"(?:I|we) ?apologi[sz]e,? (?:but|for)\b|my apologies\b",
    r"I(?:['’]m| am) not comfortable\b",
    r"I(?:['’]m| am) (?:just |only )?an? (?:AI|large language|language) (?:model|assistant)",
    rf"unable to (?:process|load|open|read|describe|display|analy[sz]e) (?:the |this )?{_IMAGE}",
    rf"{_IMAGE} (?:is )?(?:unavailable|not available|not found)\W*$",
    rf"(?:(?:unfortunately|regrettably|however|but),? )?I ?{_CANNOT} (?:\w+ ){{0,3}}?{_DO}\b",
    r"as an? (?:AI|artificial intelligence|large language|language|text-based) ?(?:model|assistant|language|,|I\b)",
    rf"(?:there (?:is|was) )?no {_IMAGE} (?:was |is |has been )?(?:provided|attached|uploaded|available|to describe)",
    rf"please (?:provide|upload|share|attach|send) (?:me )?(?:with )?(?:the|an|your|a) {_IMAGE}",
    r"(?:it (?:seems|looks|appears) (?:like|that) )?you (?:have not|haven['’]t|did not|didn['’]t) (?:\w+ ){0,3}an? "
    rf"{_IMAGE}",
    rf"(?:sorry,? )?I (?:do not|don['’]t|did not|didn['’]t) (?:see|have) (?:a|an|any|the) {_IMAGE}",
    rf"{_IMAGE}s? (?:is|are) (?:missing|not (?:available|accessible|loading|visible))|(?:missing|broken) {_IMAGE}$",
    rf"the {_IMAGE} (?:you \w+ )?(?:could not|couldn['’]t|cannot|can['’]t) be (?:loaded|opened|displayed|processed)",
    rf"the {_IMAGE} (?:failed to load|did not load|does not load|is not available|is not accessible)",
    rf"(?:this|the|your) (?:content|request|{_IMAGE}|prompt) (?:may |might )?violates? (?:our|the|my)",
    rf"(?:this|the|your) (?:content|request|{_IMAGE}|prompt) (?:was|has been) (?:blocked|rejected|flagged)",
    # Chinese, Japanese, Korean
    r"(?:非常|很|真的)?(?:抱歉|对不起|對不起)[，,。！]?\s?(?:但|我|这|作为|無法|无法|由于)",
    r"我?(?:作为|身为)(?:一个|一名|一款)?\s?(?:AI|人工智能|语言模型|大语言)",
    r"我(?:无法|不能|没有办法|無法)(?:提供|描述|识别|协助|帮助|查看|处理|回答|满足|看到|識別|看)",
    r"(?:大変|誠に)?申し訳(?:あり|ござい)ませんが?|すみませんが、|(?:AI|言語モデル)として、",
    r"죄송(?:합니다|하지만|해요|스럽)|저는 (?:AI|인공지능)|(?:AI|언어) ?모델로서",
    # German, Dutch, French, Spanish, Portuguese, Italian, Polish
    r"(?:es )?tut mir (?:sehr )?leid,? (?:aber|ich|dass)|leider (?:kann|darf) ich (?:\w+ ){0,6}nicht",
    r"ich kann (?:(?:dir|ihnen|dieses|das|diese|dabei|leider|bild) ){1,4}nicht (?:beschreiben|helfen|sehen)",
    r"als (?:eine? )?KI(?:,|-(?:modell|assistent\w*|sprachmodell)\b| (?:kann|darf|bin|habe) )",
    r"het spijt me,? (?:maar|ik)|als AI-(?:model|assistent)",
    r"(?:je suis )?(?:vraiment |sincèrement )?désolée?,? (?:mais|je)\b|en tant qu['’](?:IA|intelligence|assistant)",
    r"je ne (?:peux|suis) (?:malheureusement )?pas (?:en mesure de )?(?:aider|décrire|vous|identifier|fournir|capable)",
    r"lo siento,? (?:pero|no puedo)|no puedo (?:ayudar|describir|proporcionar|identificar)",
    r"como (?:una )?(?:IA\b|modelo de lenguaje)",
    r"(?:desculpe|sinto muito|lamento),? (?:mas|não posso)|não posso (?:ajudar|descrever|fornecer|identificar)",
    r"mi dispiace,? (?:ma|non posso)|non posso (?:aiutar|descrivere|fornire|identificare)",
    r"(?:przykro mi|przepraszam),? (?:ale|nie mogę)|nie mogę (?:pomóc|opisać)",
    # Russian, Arabic, Hindi, Vietnamese, Thai, Turkish, Indonesian
    r"(?:извините|простите|к сожалению|прошу прощения),? (?:но )?(?:я )?(?:не|как)\b",
    r"я не могу (?:описать|помочь|предоставить|определить)",
    r"(?:عذرًا|عذرا|آسف|أعتذر)،? ?(?:و?لكن|لا)",
    r"(?:क्षमा करें|माफ़ कीजिए|माफ़ करें|मुझे खेद है)",
    r"(?:xin lỗi|rất tiếc),? (?:tôi|nhưng)|(?:ขออภัย|ขอโทษ)(?:ครับ|ค่ะ| |แต่)",
    r"(?:üzgünüm|özür dilerim),? (?:ama|ancak|bu)|maaf,? (?:tetapi|saya tidak|tapi)",
)
_REFUSAL = Caseless(rf"(?:^|[.,:;!?\n。，！])[\s*]{{0,4}}(?:{'|'.join(_REFUSALS)})")

# Each pattern needs one of these words, so a caption without any of them is skipped quickly.
_WORDS = """sorry apologize apologise apologies comfortable model assistant ai language artificial text-based
unavailable available accessible visible found cannot can't can’t cant not couldn't couldn’t
unable won't won’t don't don’t didn't
didn’t haven't haven’t please violate violates blocked rejected flagged load failed missing broken leid leider nicht
als spijt tant ne siento puedo como desculpe sinto lamento posso dispiace przykro przepraszam maaf"""
_HINTS = frozenset(_WORDS.split())
_IMAGES = frozenset(["image", "picture", "photo", "photograph", "file", "link", "attachment"])  # of which "no" is said
_FOREIGN_HINTS = any_of((
    "抱歉", "对不起", "對不起", "作为", "身为", "无法", "無法", "不能", "没有", "申し訳", "すみません", "として",
    "죄송", "저는", "모델로", "désol", "mogę", "извините", "простите", "сожалению", "прощения", "не могу",
    "عذر", "آسف", "أعتذر", "क्षमा", "माफ़", "खेद", "xin lỗi", "rất tiếc", "ขออภัย", "ขอโทษ", "üzgün", "özür",
))  # fmt: skip

# Error messages that a program wrote instead of a caption.
_FAILURES = (
    r"Traceback \(most recent|(?:CUDA|torch\.cuda)\W.{0,40}out of memory",
    r"(?:\w{1,40}\.){0,8}\w{1,40}(?:Error|Exception):\s|(?:\w{1,40}\.){1,8}\w{1,40}(?:Timeout|Exhausted):\s",
    r"(?:HTTP )?(?:Error|ERROR)[ :]{1,2}(?:code )?[45][0-9]{2}\b",
    r"(?:HTTP(?:/[0-9.]{1,3})? )?[45][0-9]{2} (?:Bad Gateway|Internal Server|Not Found|Forbidden|Too Many|Service Unav"
    r"|Client Err|Server Err|Bad Request|Unauthorized|Gateway Time)",
    r"(?:[45][0-9]{2} )?(?:RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED|PERMISSION_DENIED|INVALID_ARGUMENT|UNAUTHENTICATED)\b",
    r"Request failed with status code [45][0-9]{2}\b",
    r"An (?:unknown |unexpected |internal )?error (?:has )?occurred while (?:process|generat|caption|load|analy)",
    r"(?:Rate limit|Request timed|Internal [Ss]erver [Ee]rror|Connection (?:reset|refused|error|timed))",
    r"(?:Error|ERROR|Failed|FAILED):? (?:to )?(?:load|caption|process|generat|open|decod|no |cannot|could|unable)",
    r"\{\s*[\"']error[\"']\s*:|\[(?:ERROR|Error|FAILED|Failed)\]",
)
_FAILURE = re.compile(rf"\s*(?:{'|'.join(_FAILURES)})")

_READ = 600  # characters; a captioner refuses at the start


def refusal(caption: Caption) -> Reason | None:
    """A refusal ("I'm sorry, but I can't ..."), a request for the image, or an error message, in two dozen languages.

    "a sorry dog" is fine, and so is text in quotes.
    """
    if (match := _FAILURE.match(caption.text)) is not None:
        return _reason(match[0], match.end(), "an error of the captioner instead of a caption")
    start, text = caption.folded[:_READ], caption.text[:_READ]
    words = caption.vocabulary
    if (
        _HINTS.isdisjoint(words)
        and ("no" not in words or _IMAGES.isdisjoint(words))
        and (text.isascii() or not _FOREIGN_HINTS.search(start))
    ):
        return None
    found = _REFUSAL.finditer(text, start)
    match = next((one for one in found if not in_quotes(text, one.start() + 1)), None)
    if match is None:
        return None
    what = "the captioner's answer that it cannot describe the image"
    return _reason(text[match.start() : match.end()], match.end(), what)


def _reason(said: str, end: int, what: str) -> Reason:
    said = said.lstrip(" .,:;!?\n*。，！")
    message = f"{quote(said)} is {what}: caption it again, or take the image out of the dataset."
    return Reason("refusal", "error", 0.95, message, (end - len(said), end))
