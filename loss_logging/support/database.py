"""The one place that opens DuckDB."""

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
        memory_limit: most memory that DuckDB counts, such as "512MB"; more than that goes to disk.
        threads: threads of a query; as many as there are cores when None.
        spill: folder for what goes to disk. DuckDB makes it when it is needed, and removes it at the end.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill or spill_folder_of_this_process()),
        "autoinstall_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(config=config)
    connection.execute("SET enable_progress_bar = false")  # it would be drawn over the trainer's own output
    return connection


def spill_folder_of_this_process() -> Path:
    """A folder for temporary files that no other process uses."""
    return Path(tempfile.gettempdir(), f"loss_logging-spill-{os.getpid()}")
