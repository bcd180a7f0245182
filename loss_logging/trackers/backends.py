"""Logger backends: their interface, and the backends that ``TrainConfig.loggers`` names.

A backend translates a finished LossReport for one tracker. It decides no names and computes no statistics.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from loss_logging.errors import ConfigError
from loss_logging.reports.report import LossReport
from loss_logging.support.extras import is_installed, missing_package
from loss_logging.support.names import load, near_miss

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = [
    "Backend",
    "BackendSpec",
    "ChosenBackends",
    "LoggerBackend",
    "Requirements",
    "build_backend",
    "completed",
    "select_backends",
]

ENTRY_POINT_GROUP = "loss_logging.backends"
_A_CLASS = "a class or factory, 'module:Class'"
_MEMBERS = ("name", "write", "write_scalars", "close")


class LoggerBackend(Protocol):
    """Writes reports to one tracker.

    One thread makes all calls, one at a time. A method may block and may raise; after an exception the call is repeated
    a few times, so a method should make its one irreversible call last. The constructor should be cheap: open the
    tracker at the first write.

    A class may also define

    - ``from_config(cls, config: TrainConfig, **options) -> LoggerBackend``, used instead of the constructor;
    - ``requirements(cls, **options) -> Requirements``, called in the trainer's process before the backend is built; it
      raises ValueError if the value of an option is invalid;
    - any of the methods of `Backend`, which it may derive from.
    """

    name: str

    def write(self, report: LossReport) -> None:
        """Write the report of one save step: its scalars, histograms, curves, tables and JSON."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write means of one step between save steps. Keys are the names in the tracker. Steps ascend; several calls
        may follow at once."""

    def close(self) -> None:
        """Write buffered data, and close only what this backend opened."""


class Backend:
    """Optional methods of a backend beyond `LoggerBackend`. They do nothing; a class overrides the ones it needs.

    Example:
        >>> class Printer(Backend):
        ...     name = "printer"
        ...     def write(self, report: LossReport) -> None:
        ...         print(report.job.step)
        >>> list(Printer().unsettled()), Printer().idles
        ([], False)
    """

    name: str

    def write(self, report: LossReport) -> None:
        """See `LoggerBackend.write`."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `LoggerBackend.write_scalars`."""

    def close(self) -> None:
        """See `LoggerBackend.close`."""

    def idle(self) -> None:
        """Called about ten times a second while there is nothing to write."""

    @property
    def idles(self) -> bool:
        """Whether `idle` does anything."""
        return type(self).idle is not Backend.idle

    def unsettled(self) -> Iterable[int]:
        """The numbers (from 0, in the order of the calls) of writes that would be lost if the tracker's own process
        died now. Without this method, each write counts as arrived."""
        return ()

    def forget_after(self, step: int) -> bool:  # noqa: ARG002 subclasses use it
        """Called before the first write of a run that continues after ``step`` (-1 for a new run).

        Returns:
            True if the tracker has no data of later steps, or hides them; False if the data stay and must not be
            written again.
        """
        return True

    def backfill(self, step: int) -> None:
        """Called by ``loss-logging push`` before it writes data from ``step`` on that are older than the tracker's."""


class _Completed(Backend):
    """A backend that does not derive from `Backend`, with the missing methods."""

    _MAY_LACK = ("idle", "unsettled", "forget_after", "backfill")

    def __init__(self, backend: LoggerBackend) -> None:
        self.name = backend.name
        self._own_idle = hasattr(backend, "idle")
        for method in (*_MEMBERS[1:], *filter(lambda name: hasattr(backend, name), self._MAY_LACK)):
            setattr(self, method, getattr(backend, method))

    @property
    def idles(self) -> bool:
        return self._own_idle


def completed(backend: LoggerBackend | Backend) -> Backend:
    """The backend with every method of `Backend`."""
    return backend if isinstance(backend, Backend) else _Completed(backend)


class Requirements(NamedTuple):
    """The needs of a backend. ``packages`` maps a module to the requirement that pip installs for it, such as
    ``{"wandb": "loss-logging[wandb]"}``; ``trainer_process`` is True if it uses an object of the trainer."""

    packages: Mapping[str, str] = {}
    trainer_process: bool = False


class BackendSpec(msgspec.Struct, frozen=True):
    """A backend to build: its name in the configuration, its class or factory as ``"module:Class"``, its options."""

    name: str
    target: str
    options: dict[str, Any] = {}


class ChosenBackends(NamedTuple):
    """``reporter``: backends as plain data for the reporter's process. ``trainer``: backends that only the trainer's
    own process can write to."""

    reporter: list[BackendSpec]
    trainer: list[BackendSpec | LoggerBackend]


def select_backends(loggers: Iterable[Any]) -> ChosenBackends:
    """Check every entry of ``TrainConfig.loggers`` and decide in which process it runs. Imports no tracker's SDK.

    Args:
        loggers: names (of the entry-point group ``loss_logging.backends``, or ``"module:Class"``), mappings with such a
            ``name`` and the backend's options, or backends.

    Raises:
        ConfigError: a name is unknown, an option is unknown, missing or invalid, an object is no backend, or a backend
            is named twice.
        MissingExtraError: a backend needs a package that is not installed; the message holds the pip command.

    Example:
        >>> from loss_logging.trackers.memory import MemoryBackend
        >>> select_backends([MemoryBackend()]).reporter
        []
    """
    selection = ChosenBackends([], [])
    seen: list[Any] = []
    for position, logger in enumerate(loggers):
        where = f"loggers[{position}]"
        spec = _as_spec(logger, where) if isinstance(logger, (str, Mapping)) else None
        if (spec or logger) in seen:
            raise ConfigError(f"{where}: {logger!r} is named twice; remove one")
        seen.append(spec or logger)
        if spec is None:
            selection.trainer.append(_as_backend(logger, where))
            continue
        plain = _plain(spec)
        if plain is None or _check(spec, where).trainer_process:
            selection.trainer.append(spec)
        else:
            selection.reporter.append(plain)
    return selection


def build_backend(spec: BackendSpec, config: TrainConfig) -> LoggerBackend:
    """Build the backend that ``spec`` describes."""
    target = load(spec.target, spec.name, _A_CLASS)
    factory: Callable[..., LoggerBackend] | None = getattr(target, "from_config", None)
    return factory(config, **spec.options) if factory else target(**spec.options)


def _as_spec(logger: str | Mapping[str, Any], where: str) -> BackendSpec:
    options = {"name": logger} if isinstance(logger, str) else dict(logger)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{where}.name: got {name!r}; allowed: the name of a backend, or 'module:Class'")
    return BackendSpec(name, name if ":" in name else _registered(name, where), options)


def _as_backend(logger: Any, where: str) -> LoggerBackend:
    missing = [member for member in _MEMBERS if not hasattr(logger, member)]
    if missing or isinstance(logger, type):
        reason = "is a class, not an instance" if isinstance(logger, type) else f"lacks {', '.join(missing)}"
        raise ConfigError(
            f"{where}: {logger!r} {reason}; "
            f"allowed: a name, a mapping with a name, or an object with {', '.join(_MEMBERS)}"
        )
    backend: LoggerBackend = logger
    return backend


def _registered(name: str, where: str) -> str:
    known = {point.name: f"{point.module}:{point.attr}" for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in known:
        raise ConfigError(
            f"{where}: {name!r} is no known logger{near_miss(name, known)}; "
            f"known: {', '.join(sorted(known)) or 'none'}; name your own backend as 'module:Class'"
        )
    return known[name]


def _check(spec: BackendSpec, where: str) -> Requirements:
    target = load(spec.target, where, _A_CLASS)
    _check_option_names(spec, target, where)
    ask: Callable[..., Requirements] | None = getattr(target, "requirements", None)
    try:
        requirements = ask(**spec.options) if ask else Requirements()
    except ValueError as error:
        raise ConfigError(f"{where}: {spec.name}: {error}") from error
    for module, requirement in requirements.packages.items():
        if not is_installed(module):
            raise missing_package(module, requirement, subject=f"{where}: the logger {spec.name!r}")
    return requirements._replace(trainer_process=requirements.trainer_process or spec.target.startswith("__main__:"))


def _check_option_names(spec: BackendSpec, target: Any, where: str) -> None:
    allowed, required, any_name = _option_names(target)
    if not any_name:
        for option in spec.options:
            if option not in allowed:
                raise ConfigError(
                    f"{where}.{option}: the logger {spec.name!r} has no option {option!r}"
                    f"{near_miss(option, allowed)}; allowed: {', '.join(allowed) or 'none'}"
                )
    for option in required:
        if option not in spec.options:
            raise ConfigError(f"{where}: the logger {spec.name!r} needs the option {option!r}")


def _option_names(target: Any) -> tuple[list[str], list[str], bool]:
    """The options of ``target``, its required options, and whether it takes any other option as well.

    A ``from_config`` with ``**options`` passes them to the constructor, so the constructor's options are allowed.
    """
    build = getattr(target, "from_config", None)
    parameters = _keywords(build or target)[1 if build else 0 :]
    required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if build and any(p.kind is p.VAR_KEYWORD for p in parameters):
        parameters = [p for p in parameters if p.kind is not p.VAR_KEYWORD] + _keywords(target)
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return list(dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)), required, any_name


def _keywords(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(factory).parameters.values()
    return [p for p in parameters if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]


def _plain(spec: BackendSpec) -> BackendSpec | None:
    """``spec`` with options that JSON can hold; None if an option is an object of this process."""
    try:
        return msgspec.json.decode(msgspec.json.encode(spec, enc_hook=os.fspath), type=BackendSpec)
    except TypeError:
        return None
