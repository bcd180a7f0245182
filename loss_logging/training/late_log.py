"""The log of a run whose folder could not be opened at its first batch: records wait until it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog

__all__ = ["LateLog"]


class LateLog:
    """Opens the run at the first write for which the disk allows it.

    Args:
        log: the log to write to then.
        open_run: opens the run; raises an OSError where the disk does not allow it.
    """

    def __init__(self, log: RecordLog, open_run: Callable[[], object]) -> None:
        self.folder = log.folder
        self._log = log
        self._open_run: Callable[[], object] | None = open_run

    def write(self, batches: Iterable[pa.RecordBatch]) -> Path:
        """Append one shard.

        Raises:
            OSError: the run cannot be opened yet, or the disk refuses the shard; nothing was appended.
        """
        if self._open_run is not None:
            try:
                self._open_run()
            except LossLoggingError as error:  # in the recorder's thread nobody else would hear of it
                raise OSError(str(error)) from error
            self._open_run = None
        return self._log.write(batches)
