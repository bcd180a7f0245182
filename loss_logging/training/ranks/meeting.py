"""Several training processes, one run: which rank this one is, and how the ranks find each other.

Nothing here is a collective: a trainer may save on rank 0 alone, and a rank may die. Rank 0 opens the run when it has
put an earlier one away, and the others join before they write. They meet through the key-value store of
``torch.distributed`` where there is one, and through a file in the shared folder where only RANK and WORLD_SIZE are
set.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import Counter
from typing import Any, NamedTuple

from loss_logging.runs.lock import is_locked
from loss_logging.runs.paths import RunPaths, opened_run
from loss_logging.support.files import whole_file
from loss_logging.training.ranks.progress import remove_progress

__all__ = ["Joined", "Meeting", "Rank"]

_POLL_SECONDS = 0.1
_meetings: Counter[str] = Counter()
"""How often this process has met for a job. Every rank counts alike, so a later logger does not meet an earlier run."""


class Rank(NamedTuple):
    """The rank of this process and how many there are, as ``torch.distributed`` or RANK and WORLD_SIZE have it."""

    rank: int
    world_size: int

    @classmethod
    def current(cls) -> Rank:
        """Look it up, without importing torch.

        >>> Rank.current()
        Rank(rank=0, world_size=1)
        """
        distributed = _distributed()
        if distributed is not None:
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


class Joined(NamedTuple):
    """The run that rank 0 has opened, and whether this process sees rank 0's folder."""

    run: str
    shared_folder: bool


class Meeting:
    """Where the ranks of one run meet.

    Args:
        paths: the run's places, as this process sees them.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self.store = _store(paths.job)

    def clear(self) -> None:
        """On rank 0, before it takes its lock: what a killed run left must not let anybody in."""
        self._paths.run_file.unlink(missing_ok=True)

    def open(self) -> str:
        """On rank 0, when the folder is as the run shall find it: let the others in. Returns the run's identity."""
        run = secrets.token_hex(8)
        remove_progress(self._paths.records)
        with whole_file(self._paths.run_file, text=True) as file:
            file.write(run)
        if self.store is not None:
            self.store.set("run", run)
        return run

    def join(self, timeout: float) -> Joined:
        """On another rank: wait until rank 0 has opened the run.

        Raises:
            OSError: it has not within ``timeout`` seconds, or the store is gone.
        """
        deadline = time.monotonic() + timeout
        while (joined := self._look()) is None:
            if time.monotonic() > deadline:
                raise OSError(f"rank 0 has not opened the run within {timeout:g} s; is it logging too?")
            time.sleep(_POLL_SECONDS)
        return joined

    def _look(self) -> Joined | None:
        run = opened_run(self._paths)
        if self.store is not None:
            try:
                opened = self.store.get("run").decode() if self.store.check(["run"]) else None
            except RuntimeError as error:  # torch's DistError
                raise OSError(f"the store of torch.distributed does not answer: {error}") from error
            return None if opened is None else Joined(opened, shared_folder=run == opened)
        return Joined(run, shared_folder=True) if run is not None and self.is_rank_0_alive() else None

    def is_rank_0_alive(self) -> bool:
        """Whether a process holds rank 0's part of the folder."""
        return is_locked(self._paths.records, rank=0)


def _distributed() -> Any:
    """``torch.distributed`` when it is imported and initialised, else None."""
    distributed = sys.modules.get("torch.distributed")
    ready = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if ready else None


def _store(job_name: str) -> Any:
    """A connection of our own to the store of ``torch.distributed``, with keys of our own; None without one."""
    distributed = _distributed()
    if distributed is None or distributed.get_world_size() == 1:
        return None
    _meetings[job_name] += 1
    prefix = f"loss_logging/{job_name}/{_meetings[job_name]}"
    # A clone: a call that waits must not hold up the trainer's own calls on the connection.
    return distributed.PrefixStore(prefix, distributed.distributed_c10d._get_default_store().clone())
