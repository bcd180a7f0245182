"""SeenCaptions: what pictures say of the captions of a set, as it stands in a file for the reports of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

__all__ = ["SeenCaptions"]

_TEXTS = ("dataset", "path", "caption", "word", "better_word")
SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXTS), ("score", pa.float64()), ("ratio", pa.float64())])


@dataclass(frozen=True)
class SeenCaptions:
    """What `loss_logging.evidence.planted.WrongCaptions` says, by item.

    Args:
        captions: ``dataset``, ``path`` and ``caption`` of each that was compared with its picture, with its ``score``
            and ``ratio``, null where nothing is known, its least likely ``word`` and the ``better_word`` that the
            picture fits best.
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
    ) -> SeenCaptions:
        """Of N items by dataset and path: the `WrongCaptions` among their captions, and the words of each.

        >>> from types import SimpleNamespace
        >>> found = SimpleNamespace(score=[0.5, float("nan")], ratio=[2.0, float("nan")], share=0.1, reason="")
        >>> keys, captions = [("d", "1.png"), ("d", "2.png")], ["a cat", ""]
        >>> seen = SeenCaptions.of(keys, captions, found, ["cat", None], ["dog", None])
        >>> seen.captions.select(range(2, 7)).to_pylist()
        [{'caption': 'a cat', 'word': 'cat', 'better_word': 'dog', 'score': 0.5, 'ratio': 2.0}, \
{'caption': '', 'word': None, 'better_word': None, 'score': None, 'ratio': None}]
        """
        columns = [[dataset for dataset, _ in keys], [path for _, path in keys], captions, words, better]
        numbers = [pa.array(values, pa.float64(), from_pandas=True) for values in (found.score, found.ratio)]
        texts = [pa.array(column, pa.string()) for column in columns]
        table = pa.Table.from_arrays([*texts, *numbers], schema=SCHEMA)
        return cls(table, found.share, found.reason)
