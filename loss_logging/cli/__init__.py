"""The console script ``loss-logging``. Its commands are in :mod:`loss_logging.cli.commands`."""

from __future__ import annotations

import sys

from loss_logging.errors import LossLoggingError
from loss_logging.support.extras import require

__all__ = ["main"]


def main() -> None:
    """Run the command line. Exits with 0, with 1 when the command failed, with 2 when it was called wrongly."""
    try:
        require("cli", "typer", "rich")
        from loss_logging.cli.commands import app

        app()
    except LossLoggingError as error:
        sys.exit(f"loss-logging: {error}")
    except OSError as error:
        sys.exit(f"loss-logging: {_in_words(error)}")


def _in_words(error: OSError) -> str:
    """What went wrong with which file, without the number that the system gives it.

    >>> _in_words(FileNotFoundError(2, "No such file or directory", "runs/cats"))
    'runs/cats: no such file or directory'
    """
    if error.strerror is None:
        return str(error)
    reason = f"{error.strerror[:1].lower()}{error.strerror[1:]}"
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{files}: {reason}" if files else reason
