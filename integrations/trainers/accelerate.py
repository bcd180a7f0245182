"""Accelerate: loss logging as one of its trackers, and its trackers as loggers of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate.tracking import GeneralTracker

from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend
from loss_logging.integrations.loggers.wandb import WandbBackend
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.exclusions import Exclusions
from loss_logging.trackers.backends import LoggerBackend
from loss_logging.training.logger import LossLogger

__all__ = ["LossTracker", "accelerate_loggers"]


class LossTracker(GeneralTracker):  # type: ignore[misc, unused-ignore]
    """A tracker for ``Accelerator(log_with=[tracker])``; ``tracker.tracker`` is the LossLogger.

    ``accelerator.end_training()`` closes it. What is given to ``accelerator.log`` is left to the other trackers. Each
    process has its own, and rank 0 reports on all of them; ``get_tracker("loss_logging", unwrap=True)`` is the same
    LossLogger on the main process, and nothing on the others.

    Attributes:
        exclusions: which items are to be left out of the training; ``exclusions.subset(dataset, paths)`` is the dataset
            without them, before ``accelerator.prepare``.
    """

    name = "loss_logging"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.exclusions = Exclusions(config)
        self._config = config
        self._losses: LossLogger | None = None

    def start(self) -> None:
        """Make the LossLogger, now that the processes know of each other."""
        self._losses = LossLogger(self._config)
        self._losses.exclusions = self.exclusions

    @property
    def tracker(self) -> LossLogger:
        """The LossLogger of this process."""
        if self._losses is None:
            self.start()
        assert self._losses is not None
        return self._losses

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Left to the other trackers."""

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Left to the other trackers."""

    def finish(self) -> None:
        """Close the LossLogger."""
        if self._losses is not None:
            self._losses.close()


def accelerate_loggers(accelerator: Any) -> list[LoggerBackend]:
    """The trackers that ``accelerator.init_trackers`` has made, as loggers for a TrainConfig.

    TensorBoard and W&B show everything, beside the trainer's own values. Others get the scalars, through accelerate,
    which has nothing for histograms and tables. Nothing of theirs is closed. On other ranks than 0 there are none.

    Example:
        >>> from accelerate import Accelerator
        >>> accelerate_loggers(Accelerator(cpu=True))
        []
    """
    if not accelerator.is_main_process:
        return []
    return [_logger(tracker) for tracker in accelerator.trackers if tracker.name != LossTracker.name]


def _logger(tracker: Any) -> LoggerBackend:
    if tracker.name == "tensorboard":
        return TensorBoardBackend(writer=tracker.tracker)
    if tracker.name == "wandb":
        return WandbBackend(run=tracker.tracker)
    return _Scalars(tracker)


class _Scalars:
    """The scalars, through a tracker of accelerate's."""

    def __init__(self, tracker: Any) -> None:
        self.name = str(tracker.name)
        self._tracker = tracker

    def write(self, report: LossReport) -> None:
        self.write_scalars(report.job.step, report.scalars)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._tracker.log({name: float(value) for name, value in scalars.items()}, step=step)

    def close(self) -> None:
        """It is accelerate's to close."""
