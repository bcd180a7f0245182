"""Adapters of trainers that installed packages bring: the entry-point group ``loss_logging.trainers``."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

__all__ = ["registered_trainers"]


def registered_trainers() -> dict[str, EntryPoint]:
    """By name, what the conformance suite trains each with: see :mod:`loss_logging.testing.trainer`."""
    return {point.name: point for point in entry_points(group="loss_logging.trainers")}
