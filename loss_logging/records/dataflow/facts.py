"""The facts about a tensor: its layout of examples, or that it is a mean over them, or that nothing is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from loss_logging.records.dataflow.example_layout import Layout

if TYPE_CHECKING:
    import torch

__all__ = [
    "PLAIN",
    "Fact",
    "Mean",
    "Opaque",
    "Plain",
    "has_same_factor",
    "has_same_rows",
    "scaled",
    "with_nothing_added",
]


@dataclass(frozen=True, eq=False)
class Mean:
    """A scalar equal to ``factor * rows.mean()``; ``factor`` is None if a tensor of unknown value scales it."""

    rows: torch.Tensor  # (B,)
    factor: float | None = 1.0
    conditions: tuple[tuple[torch.Tensor, str], ...] = ()  # () bool on the device, with the reason if it is false


@dataclass(frozen=True, eq=False)
class Opaque:
    """A tensor with unknown places of its examples."""

    why: str


@dataclass(frozen=True, eq=False)
class Plain:
    """A tensor without examples. For a scalar, ``why`` is the reason why it is not the loss, or None."""

    why: str | None = None


Fact: TypeAlias = Mean | Opaque | Plain | Layout
PLAIN = Plain()


def scaled(mean: Mean, factor: Any) -> Mean | None:
    """A mean times a number, or times a tensor of one element (then the factor is unknown)."""
    import torch

    if isinstance(factor, torch.Tensor) and factor.numel() == 1:
        return replace(mean, factor=None)
    if not isinstance(factor, (int, float)):
        return None
    return replace(mean, factor=None if mean.factor is None else mean.factor * factor)


def with_nothing_added(mean: Mean, other: Any) -> Mean | None:
    """A mean plus zero, as a number or a tensor: a total that begins with torch.zeros(())."""
    import torch

    if isinstance(other, torch.Tensor) and other.numel() == 1:
        why = "add: a tensor that is not zero was added to the mean"
        return replace(mean, conditions=(*mean.conditions, ((other.detach() == 0).reshape(()), why)))
    return mean if isinstance(other, (int, float)) and other == 0 else None


def has_same_rows(one: Mean | Opaque, other: Mean | Opaque) -> bool:
    return isinstance(one, Mean) and isinstance(other, Mean) and one.rows is other.rows


def has_same_factor(one: Mean | Opaque, other: Mean | Opaque) -> bool:
    return isinstance(one, Mean) and isinstance(other, Mean) and one.factor == other.factor
