"""The console script ``loss-logging``. Its commands are in :mod:`loss_logging.cli.commands`."""

from __future__ import annotations

import sys

from loss_logging.errors import LossLoggingError

__all__ = ["main"]


def main() -> None:
    """Run the command line. Exits with 0, with 1 when the command failed, with 2 when it was called wrongly."""
    try:
        from loss_logging.cli.commands import app

        app()
    except (LossLoggingError, OSError) as error:
        sys.exit(f"loss-logging: {error}")
