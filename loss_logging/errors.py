"""The exceptions that loss_logging raises at its caller. Tracker and disk trouble is warned about instead."""

from __future__ import annotations

__all__ = ["ConfigError", "LossLoggingError", "MissingExtraError"]


class LossLoggingError(Exception):
    """Base of every exception that loss_logging raises on purpose."""


class ConfigError(LossLoggingError, ValueError):
    """A configuration value is unknown, of the wrong type, or impossible."""


class MissingExtraError(LossLoggingError, ImportError):
    """A backend or command needs a package that is not installed; the message holds the pip command."""
