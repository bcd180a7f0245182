"""The words that a configuration of captions may use."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

__all__ = ["ENTRY_POINT_GROUP", "RULE_NAMES", "Profile", "Style", "Syntax", "installed_rules"]

Style = Literal["prose", "tags", "instance"]

Profile = Literal["auto", "prose", "tags", "instance"]
Syntax = Literal["weights", "choices", "wildcards", "networks", "trigger", "names", "separator"]

ENTRY_POINT_GROUP = "loss_logging.caption_rules"
RULE_NAMES = (
    "empty",
    "refusal",
    "preamble",
    "suspicious",
    "encoding",
    "markup",
    "template",
    "trigger",
    "repeated",
    "tags",
    "long",
    "truncated",
    "short",
    "conflict",
    "duplicate",
    "near_duplicate",
    "common_token",
    "language",
)
"""A literal list, so that a configuration does not import the rules. The rulebook has the same names and order."""


@cache
def installed_rules() -> dict[str, EntryPoint]:
    """The rules that installed packages offer, by name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
