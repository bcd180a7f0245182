"""Opens DuckDB, with the same settings everywhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb

__all__ = ["connect", "spill_folder_of_this_process"]


def connect(
    memory_limit: str = "2GB", threads: int | None = None, spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB database in memory that downloads nothing and prints nothing.

    Args:
        memory_limit: limit of the memory that DuckDB counts, such as "512MB"; beyond it, data go to disk.
        threads: threads of a query; the number of cores when None.
        spill: folder for the data on disk. DuckDB makes it when it is needed, and removes it at the end.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill or spill_folder_of_this_process()),
        "autoinstall_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(config=config)
    connection.execute("SET enable_progress_bar = false")  # it would overwrite the trainer's own output
    return connection


def spill_folder_of_this_process() -> Path:
    """A folder for temporary files that no other process uses."""
    return Path(tempfile.gettempdir(), f"loss_logging-spill-{os.getpid()}")
