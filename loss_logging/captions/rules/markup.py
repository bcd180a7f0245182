"""markup: addresses, file names and markup, which describe a file and not its image."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from loss_logging.captions.alternatives import Alternatives
from loss_logging.captions.caption import by_signs, holds_any, in_quotes, quote
from loss_logging.captions.fix import ENTITY, FIXABLE
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["markup"]

_IMAGE = r"(?:jpe?g|png|webp|gif|bmp|tiff?|heic|heif|avif|psd|svg|raw|cr2|nef|arw|dng)"
_CAMERA = r"(?:IMG|DSC[NF]?|DSC_|PXL|MVI|VID|GOPR|DCIM|SAM|PANO|BURST|MG|SDC|HPIM)"

# Each repetition is bounded, and each alternative begins with characters that are rare in an ordinary caption.
_MARKUP = Alternatives(
    {
        "url": (
            r"""\bhttps?://[^\s<>"]{3,500} | (?<![\w.])www\.[\w-]{1,63}\.[a-z]{2,}[^\s<>"]{0,300}""",
            ("://", "www."),
        ),
        "mail": (
            r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[A-Za-z]{2,12}\b",
            re.compile(r"@[\w-]+\.").search,
        ),
        "tag": (
            r"""</?(?i:p|br|b|i|u|em|strong|div|span|a|img|h[1-6]|ul|ol|li|table|t[rdh]|tbody|font|center|script
                |style|sup|sub|small|pre|code|blockquote|figcaption|figure|html|body|hr|section)
                (?:\s[^<>]{0,500}|\s?/)?> | <!--""",
            re.compile(r"<[/!\w]").search,
        ),
        "link": (r"!?\[[^\[\]\n]{0,200}\]\((?:https?://|/|\#|\./)[^()\s]{0,300}\)", ("](",)),
        "bold": (r"(?<!\*)\*\*(?=[^\s*])[^*\n]{1,200}(?<=[^\s*])\*\*(?!\*)", ("**",)),
        "heading": (r"(?:^|(?<=\n))\#{1,2}\ (?=\w)", ("# ",)),
        "file": (rf"(?<![\w.])[\w()-]{{1,200}}\.{_IMAGE}\b(?![.\w])", re.compile(rf"\.{_IMAGE}").search),
        "camera": (
            rf"""(?<![^\W_])(?:{_CAMERA}_?[0-9]{{4,8}}
                |(?:IMG|VID|PXL|Screenshot)[_ -](?:19|20)[0-9]{{6}}[_ -][0-9]{{4,9}})\b""",
            re.compile("[0-9]{4}").search,
        ),
    },
    re.VERBOSE,
)
_HINTS = by_signs(("://", "@", "<", "](", "**", "# "))
_HINTS_BY_DOT = ("www.", ".jp", ".png", ".webp", ".gif", ".bmp", ".tif", ".hei", ".avif", ".psd", ".svg", ".raw",
                 ".cr2", ".nef", ".arw", ".dng", ".txt", ".json", ".mp4", ".mov", ".webm")  # fmt: skip
_HINTS_BY_DIGIT = ("img", "dsc", "pxl_", "mvi_", "vid_", "gopr", "dcim", "sam_", "pano_", "burst", "mg_", "sdc", "hpim",
                   "screenshot")  # fmt: skip
_DIGIT = re.compile("[0-9]")
_DIGIT_OR_DOT = re.compile(r"[0-9]|\.\w")

# The whole caption is a file name, a hash or a database ID.
_NAME = re.compile(
    rf"""(?:.*[\\/])? (?: [^\\/\n]{{1,200}}\.(?i:{_IMAGE}|txt|caption|json|mp4|mov|webm)
        | [\w.-]{{1,60}}[\\/](?:[\w.-]{{1,60}}[\\/]){{0,9}}[a-zA-Z_-]{{0,30}}[0-9]{{3,12}}
        | {_CAMERA}[_-]?[0-9]{{3,}}(?:[_ -][\w()]{{0,30}})?
        | (?i:screenshot|screen\ shot|whatsapp\ image|photo|image|img|frame|untitled|scan|file|download)[ _-]?
          \(?[0-9][0-9_:.()\ -]{{0,40}}(?:at\ [0-9.: ]{{1,12}})?(?i:[ap]m)?
        | (?=[0-9a-f-]*[0-9])(?=[0-9-]*[a-f])[0-9a-f]{{16,64}}
        | [0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}} | [0-9]{{6,}} )""",
    re.VERBOSE,
)
_LONGEST_NAME = 260
_PATH = frozenset("/\\")  # without one of these, and without an ending, a name has no comma
_NAME_WORDS = 8

_ADVICE: dict[str, tuple[Severity, float, str]] = {
    "url": ("warning", 0.6, "a web address; remove it"),
    "mail": ("warning", 0.6, "an e-mail address; remove it"),
    "tag": ("warning", 0.6, "HTML; keep its text"),
    "link": ("warning", 0.6, "a Markdown link; keep its text"),
    "bold": ("warning", 0.3, "Markdown; keep its text"),
    "heading": ("warning", 0.3, "a Markdown heading; keep its text"),
    "file": ("warning", 0.6, "a file name; describe the image instead"),
    "camera": ("warning", 0.6, "a file name of a camera; describe the image instead"),
}


def markup(caption: Caption) -> Reason | None:
    """HTML and its entities, Markdown, URLs, e-mail addresses, file names, and file names that cameras give.

    Text between double quotes is fine, as it may be text in the image, such as a sign.
    """
    text = caption.text
    hinted = (
        (caption.signs and holds_any(text, _HINTS(caption.signs)))
        or ("." in text[:-1] and holds_any(caption.folded, _HINTS_BY_DOT))
        or (_DIGIT.search(text) is not None and holds_any(caption.folded, _HINTS_BY_DIGIT))
    )
    if (
        (hinted or caption.words <= _NAME_WORDS)
        and len(text) <= _LONGEST_NAME
        and ("," not in text or "." in text or not _PATH.isdisjoint(caption.signs))
        and _DIGIT_OR_DOT.search(text)
        and _NAME.fullmatch(text.strip())
    ):
        message = f"The caption is only {quote(text)}, which names a file: describe the image instead."
        return Reason("markup", "error", 0.9, message)
    found = _find(text, caption.style == "tags") if hinted else None
    if found is not None:
        severity, score, advice = _ADVICE[found.lastgroup or ""]
        return Reason("markup", severity, score, f"Contains {quote(found[0])}: {advice}.", found.span())
    return _entity(text) if "&" in caption.signs else None


def _find(text: str, listed: bool) -> re.Match[str] | None:
    """The first match outside of quotation marks; among tags, ``malice<p>`` is an artist."""
    for match in _MARKUP.finditer(text):
        if not in_quotes(text, match.start()) and not (listed and match.lastgroup == "tag" and "</" not in text):
            return match
    return None


def _entity(text: str) -> Reason | None:
    for match in ENTITY.finditer(text):
        if (character := html.unescape(match[0])) != match[0]:
            message = f"Contains {match[0]!r}, which HTML writes for {character!a}: {FIXABLE}."
            return Reason("markup", "warning", 0.6, message, match.span())
    return None
