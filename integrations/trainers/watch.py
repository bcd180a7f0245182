"""What the adapters to trainers share: a warning where silence would hide that nothing is logged."""

from __future__ import annotations

from loss_logging.support.warn import warn_once

__all__ = ["Watch"]

_PATIENCE = 20


class Watch:
    """Says so when a trainer has made some steps and not one batch was logged, and why a batch could not be.

    Args:
        trainer: its name.
        fix: what the user can do, as the end of a sentence.
    """

    def __init__(self, trainer: str, fix: str) -> None:
        self._trainer = trainer
        self._fix = fix
        self._logged = False

    def logged(self) -> None:
        """A batch was logged."""
        self._logged = True

    def cannot(self, reason: str) -> None:
        """Warn that the losses of a batch are not known."""
        self._logged = True  # this is the word that was owed
        warn_once(
            f"{self._trainer} losses",
            f"{self._trainer}: no per-example losses: {reason}; {self._fix}. Training goes on.",
        )

    def step_ended(self, step: int) -> None:
        """Warn if by now there should have been something."""
        if not self._logged and step >= _PATIENCE:
            self.cannot(f"{step} steps have ended and no batch came by")
