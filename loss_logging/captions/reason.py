"""Reasons against captions, and the entries of a report that hold them."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["SEVERITIES", "DatasetCaptions", "FlaggedCaption", "Reason", "Severity"]


Severity = Literal["info", "warning", "error"]


class Reason(msgspec.Struct, frozen=True):
    """The objection of one rule to a caption. ``rule`` is the rule's public name, ``score`` is in (0, 1], ``message``
    tells a person what to do, ``span`` is the ``(start, end)`` of the characters at fault, None for the whole
    caption."""

    rule: str
    severity: Severity
    score: float
    message: str
    span: tuple[int, int] | None = None


class DatasetCaptions(msgspec.Struct, frozen=True):
    """The captions of a dataset. ``profile`` is "prose", "tags", "instance", or None if the captions are of several
    styles, so that each was judged by itself. ``profile_is_guessed`` is False if the profile was configured.
    ``reasons`` concern the dataset as a whole."""

    profile: str | None
    profile_is_guessed: bool
    reasons: list[Reason] = []


class FlaggedCaption(msgspec.Struct, frozen=True):
    """A caption with at least one objection. ``severity`` is the highest of its reasons; ``score`` is in (0, 1]."""

    path: str
    dataset: str
    caption: str
    loss: float | None
    reasons: list[str]
    score: float
    severity: Severity
    details: list[Reason] = []


SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
