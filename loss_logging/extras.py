"""Extras: packages that some parts of loss_logging need and others do not."""

from __future__ import annotations

from importlib.util import find_spec

from loss_logging.errors import MissingExtraError

__all__ = ["require"]


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
