"""Decodes the bytes of a caption file, in any usual encoding."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

__all__ = ["CANDIDATES", "BinaryDataError", "Decoded", "TextDecoder", "with_byte_order_mark"]

# The 4-byte marks come first, as UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# The usual encodings of captions. With all encodings that it knows, the detector finds Mac and EBCDIC code pages in
# short texts, and is 20 times slower; with cp1250 it takes French for Polish.
_ALPHABETS = ("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8_r")
CANDIDATES = [
    "cp1252",
    *_ALPHABETS,
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]

_SAMPLE = 65_536
_HIGH = re.compile(rb"[\x80-\xff]")
_ACCENTED = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


class BinaryDataError(ValueError):
    """The data is no text."""


class Decoded(NamedTuple):
    """A decoded text, its encoding, whether it had a byte order mark, and whether characters were lost."""

    text: str
    encoding: str
    marked: bool = False
    damaged: bool = False

    @property
    def plain(self) -> bool:
        """Whether every trainer reads it: UTF-8 without a byte order mark."""
        return self.encoding == "utf-8" and not self.marked and not self.damaged


class TextDecoder:
    """Decodes the files of a folder; they probably have the same encoding.

    It tries UTF-8 first, then the encoding of a byte order mark or of a pattern of zeros. Last, charset-normalizer
    guesses from this text and the earlier ones together, as one short caption is rarely enough to distinguish code
    pages.

    Example:
        >>> decoder = TextDecoder()
        >>> decoder.decode("une fenêtre".encode()).plain, decoder.decode("une fenêtre".encode("latin-1")).encoding
        (True, 'cp1252')
    """

    def __init__(self) -> None:
        self._sample = bytearray()  # of texts in no Unicode encoding
        self._detected_at = 0
        self._encoding: str | None = None

    def decode(self, data: bytes, *, cut: bool = False) -> Decoded:
        """Decode ``data``; ``cut`` means that the file continues, possibly in the middle of a character.

        Raises:
            BinaryDataError: ``data`` is no text.
        """
        if (marked := with_byte_order_mark(data)) is not None:
            mark, encoding = marked
            return _lossy(data[len(mark) :], encoding, cut)._replace(marked=True)
        try:
            text = _strict(data, "utf-8", cut)
        except UnicodeDecodeError:
            return self._decode_legacy(data, cut)
        if "\0" in text and (wide := _wide(data)) is not None:
            return _lossy(data, wide, cut)
        if not text.isprintable() and _control_share(data) > 0.3:
            raise BinaryDataError
        return Decoded(text, "utf-8")

    def _decode_legacy(self, data: bytes, cut: bool) -> Decoded:
        if (wide := _wide(data)) is not None:
            return _lossy(data, wide, cut)
        if _control_share(data) > 0.05:  # a tenth in compressed data, none in text
            raise BinaryDataError
        utf8 = _lossy(data, "utf-8", cut)
        foreign = sum(not character.isascii() for character in utf8.text)
        if foreign > 5 * (lost := utf8.text.count("\ufffd")) > 0:  # by chance, hardly any legacy text is valid UTF-8
            return utf8
        for guess in (self._learn, _detect, lambda _: "cp1252"):
            if (encoding := guess(data)) is not None:
                try:
                    return Decoded(_strict(data, encoding, cut), encoding)
                except UnicodeDecodeError:
                    continue
        return utf8._replace(damaged=lost > 0)

    def _learn(self, data: bytes) -> str | None:
        """The encoding of all such texts so far, detected anew each time their size has doubled."""
        if len(self._sample) < _SAMPLE:
            self._sample += data[: _SAMPLE - len(self._sample)] + b"\n"
        if self._encoding is None or len(self._sample) >= 2 * self._detected_at:
            self._encoding, self._detected_at = _detect(bytes(self._sample)), len(self._sample)
        return self._encoding


def with_byte_order_mark(data: bytes) -> tuple[bytes, str] | None:
    """The byte order mark at the start of ``data`` and its encoding; None without a mark."""
    return next(((mark, encoding) for mark, encoding in _MARKS if data.startswith(mark)), None)


def _strict(data: bytes, encoding: str, cut: bool) -> str:
    return codecs.getincrementaldecoder(encoding)().decode(data, final=not cut) if cut else data.decode(encoding)


def _lossy(data: bytes, encoding: str, cut: bool) -> Decoded:
    try:
        return Decoded(_strict(data, encoding, cut), encoding)
    except UnicodeDecodeError:
        return Decoded(data.decode(encoding, "replace"), encoding, damaged=True)


def _wide(data: bytes) -> str | None:
    """The encoding of UTF-16 without a mark, which has a zero byte beside every ASCII character; None if it is none."""
    sample = data[:4096]
    pairs = len(sample) // 2
    low, high = sample[::2].count(0), sample[1::2].count(0)
    if pairs and high > 0.4 * pairs and low < 0.1 * pairs:
        return "utf-16-le"
    return "utf-16-be" if pairs and low > 0.4 * pairs and high < 0.1 * pairs else None


def _control_share(data: bytes) -> float:
    sample = data[:4096]
    return len(_CONTROL.findall(sample)) / len(sample)


def _detect(data: bytes) -> str | None:
    from charset_normalizer import from_bytes  # needed for few folders

    matches = from_bytes(data[:_SAMPLE], cp_isolation=CANDIDATES)
    best = matches.best()
    if best is None:
        return None
    if best.encoding in _ALPHABETS and _is_western(data):
        return "cp1252"
    # If no code page fits better than the most common one, take the most common one.
    western = (match for match in matches if "cp1252" in match.could_be_from_charset)
    return "cp1252" if any(m.chaos <= best.chaos and m.coherence >= best.coherence for m in western) else best.encoding


def _is_western(data: bytes) -> bool:
    """Whether accented letters are among ASCII ones; words of other alphabets hold no ASCII letters."""
    return 5 * len(_ACCENTED.findall(data)) >= 4 * len(_HIGH.findall(data))
