"""Our section in a file of its own, for trainers whose configuration takes no keys but theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loss_logging.errors import ConfigError
from loss_logging.runs.config import TrainConfig
from loss_logging.support.checked_config import parse_file
from loss_logging.support.warn import LOGGER

__all__ = ["read_settings"]


def read_settings(file: str | None) -> Mapping[str, Any] | None:
    """A configuration with a section ``loss_logging``, looked at now and not when a model has been loaded.

    Args:
        file: TOML, YAML or JSON; None is a section with the defaults.

    Returns:
        None where nothing can be logged, which has been said.

    Example:
        >>> read_settings(None)
        {'loss_logging': True}
    """
    if file is None:
        return {"loss_logging": True}
    try:
        content = parse_file(Path(file))
        if TrainConfig.from_section(content, job_name="checked", save_root=".") is not None:
            return dict(content)
        LOGGER.warning("%s: the section loss_logging is missing or off. No losses are logged; training goes on.", file)
    except (ConfigError, OSError, TypeError) as error:
        LOGGER.error("%s: %s. No losses are logged; training goes on.", file, error)
    return None
