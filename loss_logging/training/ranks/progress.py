"""How far each rank's records are on disk: one small file per rank, beside the log."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loss_logging.support.files import whole_file

__all__ = ["Progress", "read_progress", "remove_progress", "write_progress"]


class Progress(msgspec.Struct, frozen=True):
    """A rank's part in the run ``run``: all that it logged up to step ``through`` is on disk, and reports must say what
    ``notes`` say. ``through`` is FOREVER when the rank writes nothing more."""

    run: str
    through: int
    notes: list[str] = []


def write_progress(folder: Path, rank: int, progress: Progress) -> None:
    """Replace what is known of ``rank``."""
    with whole_file(_path(folder, rank)) as file:
        file.write(msgspec.json.encode(progress))


def read_progress(folder: Path, rank: int) -> Progress | None:
    """What is known of ``rank``; None when it has not joined any run here."""
    try:
        return msgspec.json.decode(_path(folder, rank).read_bytes(), type=Progress)
    except FileNotFoundError:
        return None


def remove_progress(folder: Path) -> None:
    """Forget every rank, for a new run."""
    for path in folder.glob("rank*.progress.json"):
        path.unlink(missing_ok=True)


def _path(folder: Path, rank: int) -> Path:
    return folder / f"rank{rank:05d}.progress.json"
