"""CaptionComparison: applies the rules that compare captions, and stores the data that they need of each caption."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from loss_logging.captions.across import CaptionedItem, DatasetRule, Known, same, tokens
from loss_logging.captions.caption import READ_LIMIT
from loss_logging.captions.checker import adjusted
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.names import Style
from loss_logging.captions.reason import Reason
from loss_logging.captions.rulebook import DATASET_RULES
from loss_logging.captions.text_store import TextStore
from loss_logging.errors import MissingExtraError

__all__ = ["CaptionComparison", "same_image"]


def same_image(path: str) -> str | None:
    """A key that is equal for the same image in all datasets: the absolute path; None for a relative path.

    >>> same_image("/data/1.png"), same_image("1.png")
    ('/data/1.png', None)
    """
    return path if os.path.isabs(path) else None  # noqa: PTH117 a Path of each path would take a twentieth of the time


class CaptionComparison:
    """Compares captions with one another. It takes them one by one, and gives the reasons at any time.

    Memory grows by a few hashes per caption; the texts are in a temporary file.

    Args:
        config: the user's settings.

    Example:
        >>> comparison = CaptionComparison(CaptionConfig())
        >>> for name in ("1.png", "2.png"):
        ...     item = (name, "pets", "a brown dog jumps over the low wall")
        ...     comparison.add(comparison.keep(*item), item, "prose")
        >>> [(where, reason.rule) for where, reason in comparison.found({"pets": "prose"})]
        [(0, 'duplicate'), (1, 'duplicate')]
    """

    def __init__(self, config: CaptionConfig) -> None:
        self.warnings: list[str] = []
        """Each rule that was left out because a package is missing, with the name of the package."""
        self._config = config
        self._rules = self._chosen()
        self._paths = TextStore()
        self._captions = TextStore()
        self._dataset_of = array("q")
        self._names: list[str] = []
        self._number_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def has_rules(self) -> bool:
        """Whether any rule is active."""
        return bool(self._rules)

    def keep(self, path: str, dataset: str, caption: str) -> int:
        """Store a caption of an image, cut at `READ_LIMIT` characters; returns its number, from 0."""
        self._paths.append(path)
        self._captions.append(caption[:READ_LIMIT])
        if dataset not in self._number_of:
            self._number_of[dataset] = len(self._names)
            self._names.append(dataset)
        self._dataset_of.append(self._number_of[dataset])
        return len(self._dataset_of) - 1

    def kept(self, number: int) -> tuple[str, str, str]:
        """Path, dataset and caption that were stored under a number."""
        return self._paths[number], self._dataset(number), self._captions[number]

    def add(
        self, number: int, kept: tuple[str, str, str], style: Style | None, content_hash: str | bytes | None = None
    ) -> None:
        """Compare a caption with the others.

        Args:
            number: the number that `keep` returned.
            kept: its path, dataset and caption, as `kept` returns them.
            style: the style of its dataset.
            content_hash: equal for images with the same bytes.
        """
        path, dataset, caption = kept
        if not caption.isascii():
            caption = caption.encode("utf-8", "replace").decode()  # the packages take no lone surrogates
        words = tokens(caption, style)
        item = CaptionedItem(number, path, dataset, caption, content_hash, style, same(caption, style, words), words)
        for rule in self._rules:
            rule.add(item)

    def found(
        self, styles: Mapping[str, Style | None], gone: Collection[int] = frozenset()
    ) -> Iterator[tuple[int | str, Reason]]:
        """Reasons, each with the number of a caption, or with the name of a dataset if it is about the whole dataset.

        Args:
            styles: style by dataset.
            gone: numbers of captions that have been replaced; they are not compared.
        """
        counts = Counter(self._names[dataset] for i, dataset in enumerate(self._dataset_of) if i not in gone)

        def tokens_of(number: int) -> list[str]:
            return tokens(self._captions[number], styles.get(self._dataset(number)))

        known = Known(counts, styles, self._paths, tokens_of, self._dataset, self._config, gone)
        for rule in self._rules:
            for where, reason in rule.finish(known):
                yield where, adjusted(reason, self._config)

    def _dataset(self, number: int) -> str:
        return self._names[self._dataset_of[number]]

    def _chosen(self) -> list[DatasetRule]:
        """All rules except those that the user disabled or that miss a package."""
        rules: list[DatasetRule] = []
        for name, rule in DATASET_RULES.items():
            if name not in self._config.rules.disabled:
                try:
                    rules.append(rule())
                except MissingExtraError as error:
                    self.warnings.append(str(error))
        return rules
