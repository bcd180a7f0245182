from __future__ import annotations

import os
from pathlib import Path

from loss_logging.support.database import connect, spill_folder_of_this_process


def test_limits_are_those_that_were_given(tmp_path: Path) -> None:
    """Memory, threads and where it spills; nothing is downloaded and nothing drawn on the terminal."""
    with connect("512MB", 1, tmp_path / "spill") as connection:
        settings = dict(connection.sql("SELECT name, value FROM duckdb_settings()").fetchall())
    assert settings["threads"] == "1"
    assert settings["memory_limit"].startswith("488")  # MiB
    assert settings["temp_directory"] == str(tmp_path / "spill")
    assert (settings["autoinstall_known_extensions"], settings["enable_progress_bar"]) == ("false", "false")


def test_processes_do_not_share_a_spill_folder() -> None:
    """Its name has the number of the process."""
    assert str(os.getpid()) in spill_folder_of_this_process().name
