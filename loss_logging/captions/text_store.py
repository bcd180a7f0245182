"""TextStore and ByteStore: many texts or byte strings, kept in a temporary file."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, overload

__all__ = ["ByteStore", "TextStore"]

_IN_MEMORY = 32_000_000  # bytes; more are moved to a temporary file


class ByteStore:
    """Byte strings by number: eight bytes of memory for each, up to 32 MB for the latest, and a temporary file.

    Example:
        >>> store = ByteStore()
        >>> store.append(b"a cat"), store.append(b"a dog"), store.read(1), len(store)
        (None, None, b'a dog', 2)
    """

    def __init__(self) -> None:
        self._latest = bytearray()  # what is not in the file
        self._file: BinaryIO | None = None
        self._filed = 0  # bytes in the file
        self._ends = array("Q", [0])

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, data: bytes) -> None:
        """Add a byte string."""
        self._latest += data
        self._ends.append(self._filed + len(self._latest))
        if len(self._latest) > _IN_MEMORY:
            self._move()

    def extend(self, data: bytes, ends: Iterable[int]) -> None:
        """Add several byte strings that follow one another; ``ends`` are their ends within ``data``, ascending."""
        before = self._ends[-1]
        self._latest += data
        self._ends.extend(before + end for end in ends)
        if len(self._latest) > _IN_MEMORY:
            self._move()

    def read(self, index: int) -> bytes:
        """The byte string of a number from 0 to below the length."""
        start, end = self._ends[index], self._ends[index + 1]
        if self._file is None or start >= self._filed:
            return bytes(self._latest[start - self._filed : end - self._filed])
        self._file.seek(start)
        return self._file.read(end - start)

    def _move(self) -> None:
        """Append the latest to the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as this object
        self._file.seek(self._filed)
        self._file.write(self._latest)
        self._filed += len(self._latest)
        self._latest = bytearray()


class TextStore(Sequence[str]):
    """A list of texts in a `ByteStore`.

    Example:
        >>> texts = TextStore()
        >>> texts.append("a cat"), texts.append("a dog"), texts[1], len(texts)
        (None, None, 'a dog', 2)
    """

    def __init__(self) -> None:
        self._store = ByteStore()

    def append(self, text: str) -> None:
        """Add a text."""
        self._store.append(text.encode("utf-8", "surrogatepass"))

    def __len__(self) -> int:
        return len(self._store)

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
        return self._store.read(index).decode("utf-8", "surrogatepass")
