"""What the adapters to trainers share: what could not be logged is said once, and counted in the reports."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from loss_logging.errors import LossLoggingError
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

__all__ = ["Watch"]

_PATIENCE = 20


@dataclass
class _Missed:
    batches: int = 0
    examples: int = 0
    steps: tuple[int, int] | None = None


class Watch:
    """Says so when a trainer has made some steps and not one batch was logged, and why a batch could not be.

    Args:
        trainer: its name.
        fix: what the user can do, as the end of a sentence.
    """

    def __init__(self, trainer: str, fix: str) -> None:
        self.trainer = trainer
        self._fix = fix
        self._logged = False
        self._level = logging.WARNING  # of the first time, also where the log begins only afterwards
        self._missed: dict[str, _Missed] = {}

    def logged(self) -> None:
        """A batch was logged."""
        self._logged = True

    def cannot(self, reason: str) -> None:
        """Warn that losses are not known."""
        self._logged = True  # this is the word that was owed
        level, self._level = self._level, logging.DEBUG
        LOGGER.log(level, "%s: no per-example losses: %s; %s. Training goes on.", self.trainer, reason, self._fix)

    def missed(self, reason: str, step: int | None = None, examples: int = 0) -> None:
        """Warn that the losses of a batch are not known, and count it."""
        self.cannot(reason)
        self.count(reason, step, examples)

    def count(self, reason: str, step: int | None = None, examples: int = 0) -> None:
        """Count a batch that was not logged.

        Args:
            reason: why.
            step: whose batch it is, where that is known.
            examples: how many it has; 0 where that is not known.
        """
        missed = self._missed.setdefault(reason, _Missed())
        missed.batches += 1
        missed.examples += examples
        if step is not None:
            missed.steps = (step if missed.steps is None else missed.steps[0], step)

    def note(self, losses: LossLogger) -> None:
        """Before a report is asked for: it and all later ones say what was missed since the one before."""
        for reason, missed in self._missed.items():
            first, last = missed.steps or (0, 0)
            steps = "" if not missed.steps else f", step {first}" if first == last else f", steps {first} to {last}"
            batches = "1 batch was" if missed.batches == 1 else f"{missed.batches} batches were"
            examples = f" ({missed.examples} examples)" if missed.examples else ""
            losses.add_warning(f"{self.trainer}{steps}: {batches} not logged{examples}: {reason}")
        self._missed.clear()

    def report(self, losses: LossLogger, step: int) -> None:
        """Make a report, with what was missed; where another adapter has taken the run over, that is said."""
        try:
            self.note(losses)
            losses.save_step(step)
        except LossLoggingError as error:
            self.cannot(str(error))

    def step_ended(self, step: int) -> None:
        """Warn if by now there should have been something."""
        if not self._logged and step >= _PATIENCE:
            self.cannot(f"{step} steps have ended and no batch came by")
