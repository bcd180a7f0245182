"""Objects that a configuration names, and near misses of names."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Iterable
from typing import Any

from loss_logging.errors import ConfigError

__all__ = ["load", "near_miss"]


def load(reference: str, what: str, allowed: str = 'a function by its name, "package.module:function"') -> Any:
    """The function or class that ``reference`` names.

    Args:
        reference: ``"package.module:name"``.
        what: the place of the name, as the error begins, such as ``"$.pictures.load"``.
        allowed: the allowed values, in words.

    Raises:
        ConfigError: ``reference`` cannot be imported, or is not callable.

    Example:
        >>> load("math:sqrt", "$.function")(9.0)
        3.0
        >>> load("math:sqr", "$.function")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        loss_logging.errors.ConfigError: $.function: cannot load 'math:sqr': module 'math' has no attribute 'sqr'; ...
    """
    try:
        if not all(reference.partition(":")):
            raise ValueError("a part is missing")
        found = pkgutil.resolve_name(reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{what}: cannot load {reference!r}: {error}; allowed: {allowed}") from error
    if not callable(found):
        raise ConfigError(f"{what}: {reference!r} is a {type(found).__name__}; allowed: {allowed}")
    return found


def near_miss(given: object, known: Iterable[str]) -> str:
    """The part of an error that suggests a known name; "" if none is similar.

    >>> near_miss("wandbb", ["wandb", "tensorboard"]), near_miss("x", ["wandb"])
    ('; did you mean wandb?', '')
    """
    match = difflib.get_close_matches(str(given), list(known), n=1)
    return f"; did you mean {match[0]}?" if match else ""
