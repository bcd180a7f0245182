"""MinHash: signatures of token lists, which agree in as large a share of rows as the lists share pairs of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["MinHash", "Pairs", "most_alike"]

_KNOWN = 20_000  # tokens whose hashes are kept
_PAIR = 0x9E3779B97F4A7C15  # odd: makes of two hashes one that depends on their order


class Pairs(msgspec.Struct, frozen=True):
    """The pairs of neighbours in lists of tokens.

    Args:
        hashes: 32 bits for each pair, one list after the other; equal for equal pairs, in each process.
        starts: the number of the first pair of each list.
    """

    hashes: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]

    def sizes(self) -> npt.NDArray[np.int64]:
        """The number of pairs of each list."""
        import numpy as np

        return np.diff(self.starts, append=len(self.hashes))

    def sketches(self) -> npt.NDArray[np.uint8]:
        """256 bits for each list, of which each pair sets one: (lists, 32)."""
        import numpy as np

        bits = np.zeros((len(self.starts), 256), bool)
        bits[np.repeat(np.arange(len(self.starts)), self.sizes()), self.hashes >> np.uint32(24)] = True
        return np.packbits(bits, axis=1)


def most_alike(
    one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], sizes: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """The highest Jaccard index that two sets of pairs can have: a bit of only one of them is a pair of only one.

    Args:
        one, other: their sketches, (n, 32).
        sizes: (n,) the number of pairs of the first, or a higher number.

    >>> hashing = MinHash(1)
    >>> pairs = hashing.pairs([list("abcdefghij"), list("abcdefghix")])
    >>> one, other = pairs.sketches()
    >>> bool(0.8 <= most_alike(one[None], other[None], pairs.sizes()[:1]) < 1)  # 8 of 10 pairs are in both
    True
    """
    only_one, only_other = _bits(one & ~other), _bits(other & ~one)
    return (sizes - only_one) / (sizes + only_other)


def _bits(sketches: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    import numpy as np

    of_each_byte = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
    return of_each_byte[sketches].sum(axis=1)  # type: ignore[no-any-return]


class _Hashes(dict[str, bytes]):
    """The hash of each token, 64 bits as bytes; unlike Python's own, the same in each process."""

    def __missing__(self, token: str) -> bytes:
        if len(self) >= _KNOWN:
            self.clear()
        self[token] = digest = hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=8).digest()
        return digest


class MinHash:
    """Hashes the pairs of neighbours in lists of tokens, and makes signatures of them.

    A signature is the least hash of a list under each of ``rows`` functions, see Broder, "On the resemblance and
    containment of documents" (1997). Many lists are hashed together, with numpy and in one thread.

    Args:
        rows: the number of functions.

    Example:
        >>> hashing = MinHash(256)
        >>> one, other = hashing.signatures(hashing.pairs([list("abcdefghij"), list("abcdefghix")]))
        >>> bool(0.7 < (one == other).mean() < 0.9)  # 8 of 10 pairs are in both
        True
    """

    def __init__(self, rows: int) -> None:
        import numpy as np

        self._hashes = _Hashes()
        chance = np.random.default_rng(0)
        # Multiplication by an odd number modulo 2^32: its upper bits, which decide what is least, depend on all bits.
        self._factors = chance.integers(0, 2**31, (rows, 1), np.uint32) * np.uint32(2) + np.uint32(1)

    def pairs(self, lists: Sequence[Sequence[str]]) -> Pairs:
        """The pairs of lists of two tokens or more."""
        import numpy as np

        hashes = np.frombuffer(b"".join(map(self._hashes.__getitem__, chain.from_iterable(lists))), "<u8")
        ends = np.cumsum([len(tokens) for tokens in lists])
        mixed = hashes[:-1] * np.uint64(_PAIR) + hashes[1:]
        within = np.ones(len(mixed), bool)
        within[ends[:-1] - 1] = False  # from the last token of a list to the first of the next
        starts = np.concatenate([[0], ends[:-1] - np.arange(1, len(lists))])
        return Pairs((mixed[within] >> np.uint64(32)).astype(np.uint32), starts)

    def signatures(self, pairs: Pairs) -> npt.NDArray[np.uint32]:
        """The signature of each list: (lists, rows)."""
        import numpy as np

        least = np.minimum.reduceat(pairs.hashes * self._factors, pairs.starts, axis=1)
        return np.ascontiguousarray(least.T, np.uint32)
