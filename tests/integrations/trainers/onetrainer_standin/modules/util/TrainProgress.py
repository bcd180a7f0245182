# ruff: noqa: N999, as OneTrainer calls it
"""Stand-in."""

from __future__ import annotations


class TrainProgress:
    """Counts each batch."""

    def __init__(self, epoch: int = 0, epoch_step: int = 0, epoch_sample: int = 0, global_step: int = 0) -> None:
        self.global_step = global_step

    def next_step(self, batch_size: int) -> None:
        """One more."""
        self.global_step += 1
