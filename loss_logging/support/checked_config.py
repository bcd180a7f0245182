"""CheckedConfig: a configuration from keywords, a mapping or a file, whose errors say which values are allowed."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta

from loss_logging.errors import ConfigError
from loss_logging.support.names import near_miss

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Check",
    "CheckedConfig",
    "Count",
    "Fraction",
    "Function",
    "JobName",
    "MemorySize",
    "Scale",
    "Seconds",
    "Seed",
    "Share",
    "allowed_values",
    "check_section",
    "convert",
    "parse_file",
    "shown",
]


Count: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1, description="a whole number, 1 or more")]
Function: TypeAlias = Annotated[
    str, Meta(pattern=r"^[\w.]+:[\w.]+\Z", description='a function by its name, "package.module:function"')
]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a whole number, 0 or more")]
Fraction: TypeAlias = Annotated[float, Meta(gt=0, le=1, description="a number above 0 and up to 1")]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
Scale: TypeAlias = Annotated[float, Meta(gt=0, le=1e9, description="a number above 0, such as 1 or 1000")]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400, description="seconds, above 0 and up to 86400")]
MemorySize: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^(?=.*[1-9])\d+(\.\d+)? ?[KMGT]i?B\Z", description='a size such as "512MB", "1.5GB" or "2GiB"'),
]
JobName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.)(?!.*\.\.)[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+\Z",
        description="a file name of 1 to 200 bytes without slash, backslash, '..', leading dot or control characters",
    ),
]

Config = TypeVar("Config", bound="CheckedConfig")
Check: TypeAlias = Callable[[Any, Any, str], Any]
"""A function from value, type and place, such as ``"$.top_k"``, to the checked value."""


@functools.cache  # for a class they never change, and reading them takes longer than all checks
def _hints(kind: type) -> dict[str, Any]:
    """The type of each key, with what is allowed."""
    return get_type_hints(kind, include_extras=True)


class ConfigType(msgspec.StructMeta):
    """The type of configurations. It also takes the keywords of the previous release. Its signature has only names
    and defaults, so that ``help()`` shows it in one line.

    The docstring has types and allowed values; with the check of each key, the signature had 3,000 characters.
    """

    def __call__(self, *args: Any, **given: Any) -> Any:
        return super().__call__(*args, **self.in_new_spelling(given))  # type: ignore[attr-defined]

    @property
    def __signature__(self) -> inspect.Signature:
        full: inspect.Signature = msgspec.StructMeta.__signature__.__get__(self)
        return full.replace(parameters=[key.replace(annotation=key.empty) for key in full.parameters.values()])


class CheckedConfig(msgspec.Struct, frozen=True, kw_only=True, metaclass=ConfigType):
    """A configuration from keywords, a mapping or a file, which are equal. Its errors say which values are allowed.

    Attributes:
        _old_keys: keys of the previous release, each with the key or ``"group.key"`` that now holds its value, or ""
            if no key does. If an old key now names a group, it counts as old when its value is no mapping.
    """

    _old_keys: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        # msgspec checks types only when it decodes; the keyword form promises the same checks.
        checks = self._checks()
        hints = _hints(type(self))
        for name in self.__struct_fields__:
            hint, check = hints[name], checks.get(name, convert)
            msgspec.structs.force_setattr(self, name, check(getattr(self, name), hint, f"$.{name}"))

    @classmethod
    def _checks(cls) -> Mapping[str, Check]:
        """By key, a check beyond its type: a function that returns the value or raises ConfigError."""
        return {}

    @classmethod
    def in_new_spelling(cls, given: Mapping[str, Any], *, warn: bool = True) -> dict[str, Any]:
        """``given`` with its old keys in their new places, and a DeprecationWarning for each.

        Raises:
            ConfigError: a value is given in both spellings.
        """
        found = dict(given)
        for old, new in cls._old_keys.items():
            group, _, key = new.partition(".")
            if old not in found or (old == group and isinstance(found[old], (Mapping, CheckedConfig))):
                continue
            value = found.pop(old)
            inner = found.get(group, {})
            if group in found if not key else (key in inner if isinstance(inner, Mapping) else True):
                raise ConfigError(f"$.{old}: {new} is given, too; give only {new}")
            if warn:
                _warn_of_old(f"{old} is now {new}" if new else f"{old} has no effect any more")
            if new:
                found[group] = {**inner, key: value} if key else value
        for name, hint in _hints(cls).items():
            if isinstance(hint, ConfigType) and isinstance(found.get(name), Mapping):
                found[name] = hint.in_new_spelling(found[name], warn=warn)  # type: ignore[attr-defined]
        return found

    def __getattr__(self, name: str) -> Any:
        """The value of an old key, from its new place."""
        new = type(self)._old_keys.get(name, "")
        if not new:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        _warn_of_old(f"{name} is now {new}")
        group, _, key = new.partition(".")
        return getattr(getattr(self, group), key) if key else getattr(self, group)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Build from a mapping of the keys to their values."""
        if not isinstance(config, Mapping):
            raise ConfigError(f"$: got {shown(config)}; allowed: a mapping of configuration keys to values")
        config = cls.in_new_spelling(config)
        check_keys(cls, config, "$")
        required = [field.name for field in msgspec.structs.fields(cls) if field.required]
        missing = [name for name in required if name not in config]
        if missing:
            needed = f"{', '.join(required[:-1])} and {required[-1]}"
            raise ConfigError(f"$.{missing[0]} is missing; a configuration needs at least {needed}")
        return cls(**config)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Build from a YAML (``.yaml``, ``.yml``), JSON or TOML file with the keys at its top level.

        Raises:
            ConfigError: the file has another format or an invalid configuration; the message names the file and the
                key.
            OSError: the file cannot be read.
        """
        path = Path(path)
        try:
            return cls.from_dict(parse_file(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def parse_file(path: Path) -> Any:
    """The content of a YAML, JSON or TOML file.

    Raises:
        ConfigError: the file has another suffix, or is not valid.
        OSError: the file cannot be read.
    """
    if path.suffix not in (".yaml", ".yml", ".json", ".toml"):
        raise ConfigError(f"got a file of type {path.suffix!r}; allowed: .yaml, .yml, .json, .toml")
    text = path.read_bytes()
    if path.suffix == ".toml":
        try:
            return msgspec.toml.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not TOML: {error}") from error
    if path.suffix == ".json":
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise ConfigError(f"is not JSON: {error}") from error
    import yaml  # the other formats do not need it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {error}") from error


def convert(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the type ``hint``; a ConfigError says which values are allowed at ``where``."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: got {shown(value)}; allowed: {allowed_values(hint)}")
        return {name: convert(one, parts[1], f"{where}.{name}") for name, one in value.items()}
    if kind in (list, tuple):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigError(f"{where}: got {shown(value)}; allowed: {allowed_values(hint)}")
        return kind(convert(one, parts[0], f"{where}[{i}]") for i, one in enumerate(value))
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        literals = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
        close = near_miss(value, [choice for literal in literals for choice in get_args(literal)])
        raise ConfigError(f"{where}: got {shown(value)}; allowed: {allowed_values(hint)}{close}") from error


def check_section(value: Any, hint: type[Config], where: str) -> Config:
    """The check of a configuration inside another one."""
    if isinstance(value, hint):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: got {shown(value)}; allowed: a mapping with keys of {hint.__name__}")
    try:
        return hint.from_dict(value)
    except ConfigError as error:
        raise ConfigError(f"{where}{str(error).removeprefix('$')}") from error


def _warn_of_old(sentence: str) -> None:
    """Warn at the caller's line outside this package, however many of our calls are between."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("loss_logging."):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{sentence}; the next release removes the old spelling", DeprecationWarning, level)


def check_keys(struct: type[msgspec.Struct], mapping: Mapping[Any, Any], where: str) -> None:
    for key in mapping:
        if key not in struct.__struct_fields__:
            close = near_miss(key, struct.__struct_fields__) or f"; allowed: {', '.join(struct.__struct_fields__)}"
            raise ConfigError(f"{where}.{key} is no configuration key{close}")


def allowed_values(hint: Any) -> str:
    """The allowed values of type ``hint``, in words."""
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return str(arguments[1].description)
    if get_origin(hint) is Literal:
        return " or ".join(f'"{argument}"' for argument in arguments)
    if get_origin(hint) is dict:
        return f"a mapping from names to {allowed_values(arguments[1])}"
    if get_origin(hint) in (list, tuple):
        return f"a list of {allowed_values(arguments[0])}"
    if arguments:
        return " or ".join(map(allowed_values, arguments))
    return {bool: "true or false", NoneType: "null (None)", str: "text"}[hint]


def shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"
