"""Captions: the rules that find bad ones."""

from __future__ import annotations

from loss_logging.captions.checker import SEVERITIES, CaptionChecker, Verdict
from loss_logging.captions.config import CaptionConfig, Profile
from loss_logging.captions.dataset import CheckedCaptions, CheckedDataset, DatasetChecker
from loss_logging.captions.encoder import MODEL_TOKENS, TextEncoder, Tokenizer
from loss_logging.captions.fix import fixed
from loss_logging.captions.flag import (
    FlaggedCaptions,
    flag_bad_captions,
    flagged_caption,
    flagged_order,
    without_ignored,
)
from loss_logging.captions.ignore import IgnoreList
from loss_logging.captions.rules import DATASET_RULES, RULE_NAMES, RULES, Rule

__all__ = [
    "DATASET_RULES",
    "MODEL_TOKENS",
    "RULES",
    "RULE_NAMES",
    "SEVERITIES",
    "CaptionChecker",
    "CaptionConfig",
    "CheckedCaptions",
    "CheckedDataset",
    "DatasetChecker",
    "FlaggedCaptions",
    "IgnoreList",
    "Profile",
    "Rule",
    "TextEncoder",
    "Tokenizer",
    "Verdict",
    "fixed",
    "flag_bad_captions",
    "flagged_caption",
    "flagged_order",
    "without_ignored",
]
