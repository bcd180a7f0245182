"""RunLock: one writer per run and rank, as two processes with one name would mix their records."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from loss_logging.errors import LossLoggingError
from loss_logging.support.warn import warn_once

__all__ = ["RunLock", "is_locked"]

_held: dict[str, RunLock] = {}
"""The locks that this process holds, by their file."""
_PATIENCE_SECONDS = 2.0  # another rank takes the lock for a moment to see whether rank 0 is running


def lock_path(folder: Path, rank: int) -> Path:
    """The file that is locked while ``rank`` writes to ``folder``."""
    return folder / f".rank{rank:05d}.lock"


def is_locked(folder: Path, rank: int) -> bool:
    """Whether a process writes ``rank``'s part of ``folder`` at present; False on file systems without locks."""
    path = lock_path(folder, rank)
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # some network file systems have no locks
        return False


class RunLock:
    """A lock from a rank's first batch to the end of the process that writes its records, however the process ends.

    Args:
        folder: the folder of the record log.
        rank: the rank that writes.
        give_way: a function that releases this lock. It is called when another lock of this process that also has
            such a function wants the same file. Without it, this lock neither gives way nor is given way to.
    """

    def __init__(self, folder: Path, rank: int, give_way: Callable[[], object] | None = None) -> None:
        self._folder = folder
        self._rank = rank
        self._give_way = give_way
        self._key = os.path.realpath(lock_path(folder, rank))
        self._lock = FileLock(lock_path(folder, rank), thread_local=False)  # the recorder's thread may open it

    @property
    def is_held(self) -> bool:
        """Whether this object holds it."""
        return self._lock.is_locked

    @property
    def is_held_beside(self) -> bool:
        """Whether another object of this process holds it."""
        return _held.get(self._key, self) is not self

    def acquire(self) -> None:
        """Take the lock; a second call does nothing.

        Raises:
            LossLoggingError: another process or object holds the lock.
        """
        if self.is_held:
            return
        holder = _held.get(self._key, self)
        if holder is not self and holder._give_way is not None and self._give_way is not None:
            holder._give_way()
        try:
            self._lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout as error:
            raise LossLoggingError(
                f"a LossLogger that is not closed yet writes rank {self._rank} of the run in {self._folder}: close it "
                "first, or use another job_name or save_root"
            ) from error
        except (OSError, NotImplementedError) as error:  # some network file systems have no locks
            warn_once(
                "no lock", f"{self._folder} cannot be locked ({error}): make sure that two runs do not write to it"
            )
        _held[self._key] = self

    def release(self) -> None:
        """Give it back."""
        if _held.get(self._key) is self:
            del _held[self._key]
        self._lock.release()
