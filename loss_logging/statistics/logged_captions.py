"""logged_captions: what each item of a run was last trained with."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.runs.config import TrainConfig
from loss_logging.statistics.queries import Queries

__all__ = ["logged_captions"]

_LAST = "SELECT path, arg_max(caption, step) AS caption FROM records GROUP BY path ORDER BY path"


def logged_captions(config: TrainConfig, folder: Path) -> dict[str, str | None]:
    """The captions in a run's log, by the absolute path of their image; None for an image without any.

    Args:
        config: of the run, in the folder where it is.
        folder: what relative paths in the log are relative to.

    Raises:
        LossLoggingError: there are no records, or they cannot be read.
    """
    files = RecordLog(config.records_dir).files()
    if not files:
        raise LossLoggingError(f"{config.records_dir} holds no records: nothing says which images the run had")
    try:
        with Queries(config.memory_limit, config.threads) as queries:
            queries.read(files)
            queries.table("last_captions", _LAST)
            rows = queries.table_rows("last_captions")
    except duckdb.Error as error:
        raise LossLoggingError(f"the log in {config.records_dir} cannot be read: {error}") from error
    return {os.path.normpath(folder.absolute() / path): caption for path, caption in rows if "\0" not in path}
