"""What can be known of a tensor: how it holds the examples, or that it is a mean over them, or nothing."""

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
    """A scalar equal to ``factor * rows.mean()``; factor None: scaled by a tensor whose value is not known here."""

    rows: torch.Tensor  # (B,)
    factor: float | None = 1.0
    conditions: tuple[tuple[torch.Tensor, str], ...] = ()  # () bool on the device; where one is false: why it is not


@dataclass(frozen=True, eq=False)
class Opaque:
    """A tensor of which it is not known which example is where."""

    why: str


@dataclass(frozen=True, eq=False)
class Plain:
    """A tensor that holds no examples. ``why`` it is not the loss, where it is a scalar; None: it is none of it."""

    why: str | None = None


Fact: TypeAlias = Mean | Opaque | Plain | Layout
PLAIN = Plain()


def scaled(mean: Mean, factor: Any) -> Mean | None:
    """A multiple of a mean by a number, or by a tensor of one element (then the factor is unknown)."""
    import torch

    if isinstance(factor, torch.Tensor) and factor.numel() == 1:
        return replace(mean, factor=None)
    if not isinstance(factor, (int, float)):
        return None
    return replace(mean, factor=None if mean.factor is None else mean.factor * factor)


def with_nothing_added(mean: Mean, other: Any) -> Mean | None:
    """A mean plus zero, the number or a tensor: a total that begins with torch.zeros(())."""
    import torch

    if isinstance(other, torch.Tensor) and other.numel() == 1:
        why = "add: a tensor that is not zero was added to the mean"
        return replace(mean, conditions=(*mean.conditions, ((other.detach() == 0).reshape(()), why)))
    return mean if isinstance(other, (int, float)) and other == 0 else None


def has_same_rows(one: Mean | Opaque, other: Mean | Opaque) -> bool:
    return isinstance(one, Mean) and isinstance(other, Mean) and one.rows is other.rows


def has_same_factor(one: Mean | Opaque, other: Mean | Opaque) -> bool:
    return isinstance(one, Mean) and isinstance(other, Mean) and one.factor == other.factor
