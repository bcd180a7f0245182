"""SeenCaptions: what pictures say of the captions of a set, as it stands in a file for the reports of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

__all__ = ["SeenCaptions"]

_TEXTS = ("dataset", "path", "caption", "word", "better_word")
_NUMBERS = ("score", "ratio", "word_score")
SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXTS), *((name, pa.float64()) for name in _NUMBERS)])


@dataclass(frozen=True)
class SeenCaptions:
    """What `loss_logging.evidence.planted.WrongCaptions` says, by item.

    Args:
        captions: ``dataset``, ``path`` and ``caption`` of each that was compared with its picture, with its ``score``
            and ``ratio``, null where nothing is known, its least likely ``word``, the ``better_word`` that the picture
            fits best, and the ``word_score`` of how much that is so.
        share: of the captions that are wrong, from 0 to 1.
        reason: a sentence on why nothing is known; "" where something is, or where nobody has looked.
    """

    captions: pa.Table = field(default_factory=SCHEMA.empty_table)
    share: float = 0.0
    reason: str = ""

    @classmethod
    def of(
        cls,
        keys: list[tuple[str, str]],
        captions: list[str],
        found: Any,
        words: Sequence[str | None],
        better: Sequence[str | None],
        word_score: Any,
    ) -> SeenCaptions:
        """Of N items by dataset and path: the `WrongCaptions` among their captions, and what is said of single words.

        >>> from types import SimpleNamespace
        >>> found = SimpleNamespace(score=[0.5, float("nan")], ratio=[2.0, float("nan")], share=0.1, reason="")
        >>> keys, captions = [("d", "1.png"), ("d", "2.png")], ["a cat", ""]
        >>> seen = SeenCaptions.of(keys, captions, found, ["cat", None], ["dog", None], [3.0, float("nan")])
        >>> seen.captions.select(range(2, 8)).to_pylist()
        [{'caption': 'a cat', 'word': 'cat', 'better_word': 'dog', 'score': 0.5, 'ratio': 2.0, 'word_score': 3.0}, \
{'caption': '', 'word': None, 'better_word': None, 'score': None, 'ratio': None, 'word_score': None}]
        """
        columns = [[dataset for dataset, _ in keys], [path for _, path in keys], captions, words, better]
        scores = (found.score, found.ratio, word_score)
        numbers = [pa.array(values, pa.float64(), from_pandas=True) for values in scores]
        texts = [pa.array(column, pa.string()) for column in columns]
        table = pa.Table.from_arrays([*texts, *numbers], schema=SCHEMA)
        return cls(table, found.share, found.reason)
