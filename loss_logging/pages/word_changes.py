"""Which words of a caption are others than before."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from loss_logging.pages.content import Piece

__all__ = ["word_changes"]

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"\s+|[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
"""White space, a word, a sign, or a character of a script that puts no spaces between words."""
_MOST = 600  # characters of each that are shown
_BEFORE = 80


def word_changes(before: str, after: str) -> tuple[list[Piece], list[Piece]]:
    """Both captions in pieces, those that differ marked; what is long is cut around the first difference.

    >>> [piece.text for piece in word_changes("a red cat", "a black cat")[1] if piece.marked]
    ['black']
    """
    before, after = _cut(before, after)
    first, second = _TOKEN.findall(before), _TOKEN.findall(after)
    old: list[Piece] = []
    new: list[Piece] = []
    for kind, i, j, k, m in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        for pieces, text in ((old, "".join(first[i:j])), (new, "".join(second[k:m]))):
            if text:
                pieces.append(Piece(text, kind != "equal"))
    return old, new


def _cut(before: str, after: str) -> tuple[str, str]:
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    start = max(0, same - _BEFORE) if max(len(before), len(after)) > _MOST else 0
    return tuple(  # type: ignore[return-value]
        f"{'…' if start else ''}{text[start : start + _MOST]}{'…' if len(text) > start + _MOST else ''}"
        for text in (before, after)
    )
