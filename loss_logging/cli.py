"""The console script ``loss-logging``. Its commands are in :mod:`loss_logging.commands`, which needs the cli extra."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from loss_logging.errors import LossLoggingError, MissingExtraError

__all__ = ["main", "require"]


def main() -> None:
    """Run the command line. Exits with 0, with 1 when the command failed, with 2 when it was called wrongly."""
    try:
        require("cli", "typer", "rich")
        from loss_logging.commands import app

        app()
    except (LossLoggingError, OSError) as error:
        sys.exit(f"loss-logging: {error}")


def require(extra: str, *modules: str) -> None:
    """Check that the modules of an extra are installed.

    Raises:
        MissingExtraError: one is not; the message holds the pip command.

    Example:
        >>> require("demo", "torhc")
        Traceback (most recent call last):
        loss_logging.errors.MissingExtraError: this needs the package torhc; run: pip install "loss-logging[demo]"
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(f'this needs the package {module}; run: pip install "loss-logging[{extra}]"')
