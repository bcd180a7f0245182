"""TextStore: many texts, kept in a temporary file."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

__all__ = ["TextStore"]

_IN_MEMORY = 32_000_000  # bytes; beyond that, texts go to a temporary file


class TextStore(Sequence[str]):
    """A list of texts that takes eight bytes of memory per text, and a temporary file for more than 32 MB of text.

    Example:
        >>> texts = TextStore()
        >>> texts.append("a cat"), texts.append("a dog"), texts[1], len(texts)
        (None, None, 'a dog', 2)
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 it lives as long as this object
        self._ends = array("Q", [0])

    def __del__(self) -> None:
        self._file.close()

    def append(self, text: str) -> None:
        """Add a text."""
        data = text.encode("utf-8", "surrogatepass")
        self._file.seek(self._ends[-1])
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"index is {index}; allowed: less than {len(self)}, the number of texts")
        start, end = self._ends[index], self._ends[index + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode("utf-8", "surrogatepass")
