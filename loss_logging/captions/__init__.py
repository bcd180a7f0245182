"""Caption quality: the rules that find bad captions, and the reading and writing of captions on disk."""

from __future__ import annotations

from loss_logging.support.moved import moved_names

_HOMES = {
    "CaptionChecker": "loss_logging.captions.checker",
    "CaptionConfig": "loss_logging.captions.config",
    "DatasetChecker": "loss_logging.captions.dataset_checker",
    "fixed": "loss_logging.captions.fix",
    "flag_bad_captions": "loss_logging.statistics.flag",
}

__getattr__ = moved_names(__name__, _HOMES)
