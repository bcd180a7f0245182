"""What the reporter on rank 0 knows of the records of the other ranks."""

from __future__ import annotations

import time

from loss_logging.records.log import RecordLog
from loss_logging.training.ranks.progress import Progress, read_progress

__all__ = ["AwaitedRanks"]

_POLL_SECONDS = 0.1


class AwaitedRanks:
    """Waits for the other ranks' records of a save step, and never for ever.

    Args:
        log: the log that all ranks write to.
        run: the identity of the run that they have joined.
        world_size: how many ranks there are, rank 0 included.
        timeout: the longest time to wait for them, in seconds.
    """

    def __init__(self, log: RecordLog, run: str, world_size: int, timeout: float) -> None:
        self._log = log
        self._run = run
        self._ranks = range(1, world_size)
        self._timeout = timeout
        self._given_up: set[int] = set()

    def complete(self, step: int) -> int:
        """The last step that no rank adds records to any more, when rank 0 is at ``step``."""
        waited_for = [rank for rank in self._ranks if rank not in self._given_up]
        return min([step - 1, *(self._through(rank) for rank in waited_for)])

    def wait(self, step: int) -> list[str]:
        """Wait until every rank's records up to ``step`` are there; returns in sentences which are not.

        A rank that was missing the last time is not waited for again.
        """
        deadline = time.monotonic() + self._timeout
        missing = {rank for rank in self._ranks if self._through(rank) < step}
        while missing - self._given_up and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            missing = {rank for rank in missing if self._through(rank) < step}
        self._given_up = missing
        return [f"rank {rank} did not arrive: {self._describe(rank)}" for rank in sorted(missing)]

    def notes(self) -> list[str]:
        """What the other ranks want a report to say."""
        known = ((rank, self._progress(rank)) for rank in self._ranks)
        return [f"rank {rank}: {note}" for rank, progress in known if progress for note in progress.notes]

    def _progress(self, rank: int) -> Progress | None:
        """What is known of a rank that has joined this run."""
        progress = read_progress(self._log.folder, rank)
        return progress if progress is not None and progress.run == self._run else None

    def _through(self, rank: int) -> int:
        """The step up to which all records of ``rank`` are on disk, -1 before it has joined the run."""
        progress = self._progress(rank)
        if progress is None:
            return -1
        # A shard ends in the middle of a step at worst, unless the rank has said that it is complete.
        return max(progress.through, self._log.last_step(rank) - 1)

    def _describe(self, rank: int) -> str:
        through = self._through(rank)
        return "none of its records are included" if through < 0 else f"its records after step {through} are missing"
