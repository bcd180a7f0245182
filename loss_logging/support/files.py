"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["cache_dir", "remove_leftovers", "whole_file"]


@contextmanager
def whole_file(path: Path, *, text: bool = False) -> Iterator[IO[Any]]:
    """A file that appears under its name once it is complete and on disk; after an error nothing is left behind.

    A link at ``path`` is replaced, never followed.

    Raises:
        OSError: the disk is full or the folder is not writable; it names ``path``, or the folder where that is missing.
            A file that was at ``path`` before is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    mode, options = ("x", {"encoding": "utf-8", "newline": ""}) if text else ("xb", {})
    try:
        with temporary.open(mode, **options) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename != str(temporary):
            raise
        wanted = path if path.parent.is_dir() else path.parent
        raise type(error)(error.errno, error.strerror, str(wanted)) from error
    finally:
        with suppress(NotADirectoryError):  # then there is no such file either
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, start: str) -> None:
    """Remove temporary files of `whole_file` that a killed process left, for names that begin with ``start``."""
    for path in folder.iterdir():
        if path.name.startswith(f".{start}") and path.suffix == ".tmp":
            path.unlink(missing_ok=True)


def cache_dir() -> Path:
    """The folder of this user for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loss_logging"
