"""common_token: a word or tag of nearly every caption; a model learns it together with the trigger."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.across import CaptionedItem, Found, Known

__all__ = ["CommonToken"]

_SHARE = 0.9
_FEW = 20  # captions; fewer are no evidence
_VOCABULARY = 20_000  # tokens counted at a time; rare ones are forgotten then
_TOGETHER = 256  # captions whose tokens are counted together, in less time
_SHOWN = 6

# Words of grammar, which are in every caption of their language.
# fmt: off
_GRAMMAR = frozenset({
    "a", "an", "the", "of", "in", "on", "at", "to", "with", "and", "or", "is", "are", "by", "for", "from", "as",
    "it", "its", "his", "her", "their", "this", "that", "there", "while", "has", "have", "be", "ein", "eine",
    "einer", "einem", "einen", "der", "die", "das", "den", "dem", "des", "und", "im", "auf", "mit", "ist", "sind",
    "von", "zu", "am", "bei", "für", "sich", "un", "une", "le", "les", "la", "de", "du", "et", "dans", "sur",
    "avec", "est", "sont", "à", "au", "aux", "en", "l", "d", "qui", "uno", "una", "unos", "unas", "el", "los",
    "las", "y", "con", "es", "son", "del", "al", "por", "para", "que", "se", "lo", "o", "os", "um", "uma", "e",
    "do", "da", "dos", "no", "na", "com", "em", "ao", "il", "gli", "i", "di", "è", "su", "per", "nel", "della",
    "het", "van", "op", "met", "zijn", "w", "z", "jest", "ze", "się", "v", "s", "je", "po", "на", "в", "с", "и",
    "у", "к", "из", "за", "от", "ở", "là", "một", "và", "của", "trên", "trong", "với", "ve", "bir", "ile",
})
# fmt: on


class CommonToken:
    """Words or tags in at least 90% of the captions of a dataset with 20 captions or more.

    The trigger word and words of grammar do not count. A dataset gets one reason. With a trigger it is a warning, as a
    model cannot separate the token from the trigger; without one it is an ``info``, as the token may be the trigger.
    """

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._waiting: defaultdict[str, list[set[str]]] = defaultdict(list)
        self._captions: Counter[str] = Counter()
        self._triggers: dict[str, str | None] = {}

    def add(self, item: CaptionedItem) -> None:
        """Look at a caption."""
        waiting = self._waiting[item.dataset]
        waiting.append(set(item.tokens))
        if len(waiting) >= _TOGETHER:
            self._count(item.dataset)

    def finish(self, known: Known) -> Found:
        """One reason for a dataset."""
        for dataset in self._waiting:
            self._count(dataset)
        gone: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for index in known.gone:
            gone[known.dataset_of(index)].update(set(known.tokens(index)))
        for dataset, seen in self._counts.items():
            captions = known.captions[dataset]
            counts = seen - gone[dataset] if dataset in gone else seen
            if captions < _FEW or known.styles.get(dataset) == "instance":
                continue
            trigger = known.config.trigger(dataset)
            own = set((trigger or "").casefold().split())
            common = [(n, token) for token, n in counts.items() if n >= _SHARE * captions and token not in _GRAMMAR]
            common = sorted((n, token) for n, token in common if own.isdisjoint(token.split()))[::-1]
            if common:
                shown = ", ".join(f"{quote(token)} ({n / captions:.0%})" for n, token in common[:_SHOWN])
                advice = "remove it from the captions, or vary it" if trigger else "fine if it is the trigger"
                message = f"In nearly every caption: {shown}. A model learns it together with the concept: {advice}."
                yield dataset, Reason("common_token", "warning" if trigger else "info", 0.3, message)

    def _count(self, dataset: str) -> None:
        """Count the tokens of the captions that wait for it."""
        counts, waiting = self._counts[dataset], self._waiting[dataset]
        counts.update(chain.from_iterable(waiting))
        self._captions[dataset] += len(waiting)
        waiting.clear()
        if len(counts) > _VOCABULARY:
            least = self._captions[dataset] // 2
            self._counts[dataset] = Counter({token: n for token, n in counts.items() if n >= least})
