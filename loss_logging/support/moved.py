"""Old paths of modules and names that the documents have shown: they work for one release, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["install", "moved_names"]

_MODULES = {
    "loss_logging.captioned_folder": "loss_logging.captions.folder.read",
    "loss_logging.evaluate_config": "loss_logging.evaluation.config",
    "loss_logging.image_batches": "loss_logging.evaluation.image_batches",
    "loss_logging.memory_backend": "loss_logging.trackers.memory",
    "loss_logging.ray_config": "loss_logging.evaluation.ray_config",
    "loss_logging.report": "loss_logging.reports.report",
}


class _MovedModules:
    """Finds a module under its old name; what is imported is the one module under its new name."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in _MODULES else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _warn(spec.name, _MODULES[spec.name])
        return import_module(_MODULES[spec.name])

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the module has run under its new name."""


def install() -> None:
    """Let the old names of modules be imported."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())


def moved_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A module's ``__getattr__`` that gives names from the modules that they are in now.

    Args:
        package: the module's own name.
        homes: the new module of each name.
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        _warn(f"{package}.{name}", f"{homes[name]}.{name}")
        return getattr(import_module(homes[name]), name)

    return find


def _warn(old: str, new: str) -> None:
    message = f"{old} is now {new}; the next release removes the old name"
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("importlib", __name__)):
        frame = frame.f_back  # to the line that imports, past the import system, whose depth differs between versions
    warnings.warn_explicit(
        message, DeprecationWarning, frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__")
    )
