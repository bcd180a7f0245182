"""One training whose batches come by at a seam of the trainer: what the adapters to kohya's and SimpleTuner share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.paired import PairedForwards
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.records.per_example import per_example_loss
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.exclusions import Exclusions
from loss_logging.trackers.backends import LoggerBackend
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["SeamRun", "squared_error"]


class SeamRun(ABC):
    """Has a LossLogger from the first batch on, when the trainer's processes and trackers are there.

    Args:
        section: the configuration with our section.
        watch: is told what cannot be logged.
    """

    def __init__(self, section: Mapping[str, Any], watch: Watch) -> None:
        self._section = section
        self.watch = watch
        self.losses: LossLogger | None = None
        self.pairs = PairedForwards(watch.trainer)
        self.exclusions: Exclusions | None = None
        self.off = False

    def begin(self, make: Callable[[], LossLogger]) -> None:
        """Have a LossLogger before the first forward.

        Args:
            make: makes it.
        """
        if self.off or self.losses is not None:
            return
        try:
            self.losses = make()
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            self.off = True
            self.watch.missed(f"{type(error).__name__}: {error}")

    def log(self, log_batch: Callable[[LossLogger], object]) -> None:
        """Log a batch, after `begin`; what is not as expected costs the batch, and never the training.

        Args:
            log_batch: is given the LossLogger.
        """
        if self.losses is None:
            return
        try:
            log_batch(self.losses)
            self.watch.logged()
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            self.watch.missed(f"{type(error).__name__}: {error}")

    def exclude(self, job_name: str, save_root: str) -> Exclusions | None:
        """What the trainer is to leave out, before it lists its images.

        Returns:
            None where the configuration is impossible, which is said when the first batch is to be logged.

        Raises:
            ConfigError: there is no list ``exclude``.
        """
        try:
            config = self._config(job_name, save_root)
        except LossLoggingError:
            return None
        self.exclusions = Exclusions(config)
        return self.exclusions

    def logger(
        self, loggers: Sequence[LoggerBackend], job_name: str, save_root: str, captions: Mapping[str, Any]
    ) -> LossLogger:
        """A LossLogger as the section says, and the trainer where that says nothing.

        Args:
            loggers: write to the trainer's own trackers.
            job_name: the trainer's name of the run.
            save_root: where the trainer saves.
            captions: how it reads captions, as `captions_of` gives it.

        Raises:
            LossLoggingError: the section is missing, off or impossible.
        """
        losses = LossLogger(self._config(job_name, save_root, loggers=loggers, captions=captions))
        losses.exclusions = self.exclusions or losses.exclusions
        return losses

    def _config(self, job_name: str, save_root: str, **defaults: Any) -> TrainConfig:
        config = TrainConfig.from_section(
            self._section, job_name=job_name, save_root=save_root, timestep_scale=1000, **defaults
        )
        if config is None:
            raise LossLoggingError("the configuration has no section loss_logging, or it is off")
        return config

    @property
    @abstractmethod
    def step(self) -> int:
        """The step that was trained last."""

    def save(self) -> None:
        """Make a report."""
        if self.losses is not None:
            self.pairs.note(self.losses)
            self.watch.report(self.losses, self.step)

    def close(self) -> None:
        """Make the last report and close, while the trainer's trackers are open."""
        self.save()
        losses, self.losses, self.off = self.losses, None, True
        if losses is not None:
            losses.close()


def squared_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean squared error of each example, (B,) float32, of a prediction and a target (B, ...) of one shape.

    Raises:
        ValueError: their shapes differ.
    """
    import torch.nn.functional as F  # noqa: N812

    if prediction.shape != target.shape:
        raise ValueError(f"the prediction has shape {tuple(prediction.shape)}, and the target {tuple(target.shape)}")
    return per_example_loss(F.mse_loss(prediction.detach().float(), target.detach().float(), reduction="none"))
