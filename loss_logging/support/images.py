"""The function of a configuration that gives the picture of an item."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from loss_logging.errors import ConfigError
from loss_logging.support.names import load

__all__ = ["load_image_function"]


LoadImage = Callable[[str, str], Any]


def load_image_function(name: str) -> LoadImage:
    """The function with the name ``"package.module:function"``.

    Raises:
        ConfigError: there is no such function, or it is in the script that runs.
    """
    if _is_script(name.partition(":")[0]):  # importing it would run it once more
        raise ConfigError(f"$.pictures.load: {name!r} is in the script that runs; put it into a module of its own")
    found: LoadImage = load(name, "$.pictures.load")
    return found


def _is_script(module: str) -> bool:
    script = getattr(sys.modules["__main__"], "__file__", None)
    if module == "__main__" or script is None:
        return module == "__main__"
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # a parent is not there, or no package: loading it says so
        return False
    return spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(script)
