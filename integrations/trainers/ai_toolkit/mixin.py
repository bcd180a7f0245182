"""The seams of ai-toolkit's trainers, overridden to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loss_logging.integrations.trainers.ai_toolkit.observer import Observer

__all__ = ["LossLoggingMixin"]

if TYPE_CHECKING:
    _SDTrainer = Any  # of extensions_built_in.sd_trainer, which is on nobody's path but ai-toolkit's
else:
    _SDTrainer = object


class LossLoggingMixin(_SDTrainer):  # type: ignore[misc]
    """Over ``SDTrainer`` or a class derived from it: what they do, and the same arguments and results.

    A section ``loss_logging`` of the job's process switches it on; without one nothing is added.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loss_logging = Observer.of(self, super())

    def run(self) -> None:
        """The whole training."""
        if self._loss_logging is None:
            super().run()
            return
        try:
            with self._loss_logging.datasets_without():
                super().run()
        finally:
            self._loss_logging.end()

    def hook_before_train_loop(self) -> None:
        """Weights and step are loaded."""
        super().hook_before_train_loop()
        if self._loss_logging is not None:
            self._loss_logging.training_begins()

    def predict_noise(self, *args: Any, **kwargs: Any) -> Any:
        """The forward; on a share of the steps there is one with the empty caption before it."""
        if self._loss_logging is not None:
            self._loss_logging.before_forward(super().predict_noise, args, kwargs)
        return super().predict_noise(*args, **kwargs)

    def calculate_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Where the loss of each row is averaged."""
        if self._loss_logging is None:
            return super().calculate_loss(*args, **kwargs)
        return self._loss_logging.calculate_loss(super().calculate_loss, args, kwargs)

    def hook_train_loop(self, *args: Any, **kwargs: Any) -> Any:
        """One step; its figures go to the progress bar and the trackers."""
        if self._loss_logging is not None:
            self._loss_logging.step_begins()
        figures = super().hook_train_loop(*args, **kwargs)
        if self._loss_logging is not None:
            self._loss_logging.step_ends(figures)
        return figures

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A checkpoint, and then a report."""
        super().save(*args, **kwargs)
        if self._loss_logging is not None:
            self._loss_logging.saved(*args, **kwargs)
