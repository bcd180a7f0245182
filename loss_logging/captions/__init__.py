"""Captions: the rules that find bad ones."""

from __future__ import annotations

from loss_logging.captions.checker import SEVERITIES, CaptionChecker, Verdict
from loss_logging.captions.config import CaptionConfig, Profile
from loss_logging.captions.flag import FlaggedCaptions, flag_bad_captions, flagged_caption, flagged_order
from loss_logging.captions.rules import RULES

__all__ = [
    "RULES",
    "SEVERITIES",
    "CaptionChecker",
    "CaptionConfig",
    "FlaggedCaptions",
    "Profile",
    "Verdict",
    "flag_bad_captions",
    "flagged_caption",
    "flagged_order",
]
