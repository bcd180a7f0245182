"""logged_captions: the last caption that each item of a run was trained with."""

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
    """The last captions in a run's log, by the absolute path of their image; None for an image without a caption.

    Args:
        config: the configuration of the run, with its present folder.
        folder: the folder that relative paths in the log start from.

    Raises:
        LossLoggingError: there are no records, or they cannot be read.
    """
    files = RecordLog(config.records_dir).files()
    if not files:
        raise LossLoggingError(f"{config.records_dir} holds no records, so the images of the run are unknown")
    try:
        with Queries(config.memory_limit, config.threads) as queries:
            queries.read(files)
            queries.table("last_captions", _LAST)
            rows = queries.table_rows("last_captions")
    except duckdb.Error as error:
        raise LossLoggingError(f"the log in {config.records_dir} cannot be read: {error}") from error
    return {os.path.normpath(folder.absolute() / path): caption for path, caption in rows if "\0" not in path}
