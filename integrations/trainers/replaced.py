"""Attributes of a trainer's modules and classes, replaced for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["replaced"]


@contextmanager
def replaced(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """Each owner has another value under a name, and afterwards its own again.

    Example:
        >>> import math
        >>> with replaced((math, "pi", 3)):
        ...     math.pi
        3
        >>> math.pi > 3
        True
    """
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, value in places:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
