"""The three bins that a caption falls into; the same on every surface."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["VERDICTS", "Verdict"]

Verdict: TypeAlias = Literal["very likely wrong", "look at these", "no sign of it"]

VERDICTS: tuple[Verdict, ...] = ("very likely wrong", "look at these", "no sign of it")
"""Of the first, at most one in ten is expected to be right."""
