"""Pseudorandom numbers in [0, 1) that depend on names alone, so that each process and repetition draws the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

__all__ = ["hash_of", "uniform", "uniform_of"]


def uniform(*keys: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers in [0, 1) that depend only on the integer keys, one for each position of the broadcast keys.

    The keys go through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", 2014), which spreads neighbouring integers over the whole range.

    >>> uniform(0, [1, 2, 3]).round(3).tolist()
    [0.166, 0.51, 0.976]
    """
    mixed: Any = np.uint64(0)
    with np.errstate(over="ignore"):
        for key in keys:
            mixed = mixed + np.asarray(key).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53)


def uniform_of(*parts: object) -> float:
    """A number in [0, 1) that depends only on the parts.

    >>> round(uniform_of("sample", 0, "a.png"), 3), round(uniform_of("sample", 1, "a.png"), 3)
    (0.593, 0.867)
    """
    return (hash_of(*parts) >> 11) * 2.0**-53


def hash_of(*parts: object) -> int:
    """An integer of 64 bits that depends only on the parts."""
    text = repr(parts).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
