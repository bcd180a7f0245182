"""loss_logging shows which training samples and captions hurt your model, while it trains.

The public names are loaded on first use, so that ``import loss_logging`` stays cheap and pulls in no tracker, no torch
and no column store.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from loss_logging.support import moved
from loss_logging.version import __version__ as __version__

if TYPE_CHECKING:
    from loss_logging.evaluation.evaluate import evaluate_dataset
    from loss_logging.records.capture import capture_per_example_loss
    from loss_logging.records.per_example import compute_per_example_loss, per_example_loss
    from loss_logging.records.record import SampleRecord
    from loss_logging.reports.artifact import read_report
    from loss_logging.reports.report import LossReport
    from loss_logging.runs.config import TrainConfig
    from loss_logging.runs.exclusions import Exclusions
    from loss_logging.statistics.aggregate import aggregate_by_dataset
    from loss_logging.statistics.flag import flag_bad_captions
    from loss_logging.trackers.backends import LoggerBackend
    from loss_logging.training.logger import LossLogger

__all__ = [
    "Exclusions",
    "LoggerBackend",
    "LossLogger",
    "LossReport",
    "SampleRecord",
    "TrainConfig",
    "aggregate_by_dataset",
    "capture_per_example_loss",
    "compute_per_example_loss",
    "evaluate_dataset",
    "flag_bad_captions",
    "per_example_loss",
    "read_report",
]

_HOME = {
    "Exclusions": "runs.exclusions",
    "LoggerBackend": "trackers.backends",
    "LossLogger": "training.logger",
    "LossReport": "reports.report",
    "SampleRecord": "records.record",
    "TrainConfig": "runs.config",
    "aggregate_by_dataset": "statistics.aggregate",
    "capture_per_example_loss": "records.capture",
    "compute_per_example_loss": "records.per_example",
    "evaluate_dataset": "evaluation.evaluate",
    "flag_bad_captions": "statistics.flag",
    "per_example_loss": "records.per_example",
    "read_report": "reports.artifact",
}

moved.install()


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
