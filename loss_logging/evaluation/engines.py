"""What computes an evaluation: in this process, or an engine that a package registers by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from loss_logging.errors import ConfigError
from loss_logging.evaluation.computation import Computation
from loss_logging.evaluation.image_batches import ImageRow
from loss_logging.evaluation.journal import Journal
from loss_logging.evaluation.selection import Selection
from loss_logging.support.extras import missing_package
from loss_logging.support.names import near_miss

__all__ = ["ENTRY_POINT_GROUP", "Engine", "check_engine_name", "make_engine"]

ENTRY_POINT_GROUP = "loss_logging.engines"
LOCAL = "local"


class Engine(Protocol):
    """Computes an evaluation elsewhere than in this process. A package registers its class under its name in the
    entry-point group ``loss_logging.engines``.

    The compute function is pickled and made where it is used. Records come back to this process, which alone adds them
    to the journal.
    """

    @classmethod
    def from_options(cls, options: Mapping[str, Any], where: str) -> Engine:
        """Build it from what a configuration says.

        Args:
            options: the options of the engine, by name.
            where: their place in the configuration, as errors begin: ``"$.engine_options"``.

        Raises:
            ConfigError: an option is unknown or impossible.
        """

    def __call__(
        self, computation: Computation, dataset: Any, selection: Selection, journal: Journal, progress: bool
    ) -> list[str]:
        """Compute what the journal has not, and add it; returns sentences for the report's ``warnings``."""

    def images(
        self, rows: Iterable[ImageRow], shards: Sequence[Path], root: Path, warnings: list[str]
    ) -> AbstractContextManager[Any]:
        """The dataset, as ``__call__`` takes it, of image files and of the images in a WebDataset's tar files below
        ``root``; it may be used inside the context."""


def make_engine(name: str, options: Mapping[str, Any], where: str = "engine_options") -> Engine:
    """The engine that is registered as ``name``.

    Raises:
        ConfigError: none is, or an option is unknown or impossible.
        MissingExtraError: a package that it needs is not installed.
    """
    point = _registered(name, "engine")
    try:
        found: type[Engine] = point.load()
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "loss_logging":
            raise
        requirement = f"loss-logging[{name}]" if point.module.startswith("loss_logging.") else package
        raise missing_package(package, requirement, subject=f"engine {name}") from error
    return found.from_options(options, where)


def check_engine_name(value: Any, _hint: Any, where: str) -> str:
    """A name of an engine that is installed, or "local"."""
    if not isinstance(value, str):
        raise ConfigError(f"{where}: got {value!r} ({type(value).__name__}); allowed: {_allowed(_installed())}")
    if value != LOCAL:
        _registered(value, where)
    return value


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _registered(name: str, where: str) -> EntryPoint:
    known = _installed()
    if name not in known:
        close = near_miss(name, [LOCAL, *known])
        raise ConfigError(f"{where}: there is no engine {name!r}{close}; allowed: {_allowed(known)}")
    return known[name]


def _allowed(known: Iterable[str]) -> str:
    return ", ".join([f"'{LOCAL}'", *(f"'{name}'" for name in sorted(known))])
