"""TrainConfig: what a run logs, and where to."""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from loss_logging.captions.config import CaptionConfig
from loss_logging.errors import ConfigError
from loss_logging.object_store import as_url

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CheckedConfig", "TrainConfig", "cache_dir", "caption_config_from_file", "parse_file"]

Count: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1, description="a whole number, 1 or more")]
Pictures: TypeAlias = Annotated[int, Meta(ge=0, le=64, description="a whole number from 0 to 64")]
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
Prefix: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\Z",
        description="letters, digits, '_', '.', '-', in parts separated by single slashes",
    ),
]
Reporter: TypeAlias = Literal["process", "inline"]
Items: TypeAlias = Literal["auto", "json", "parquet", "both"]
Overload: TypeAlias = Literal["wait", "drop"]
Existing: TypeAlias = Literal["archive", "refuse"]


class CheckedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration whose keyword form, mapping and file are equal, and whose errors say what is allowed."""

    def __post_init__(self) -> None:
        # msgspec checks types when it decodes, not here; the keyword form promises the same checks.
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            check = _CHECKS.get(name, _convert)
            msgspec.structs.force_setattr(self, name, check(getattr(self, name), hint, f"$.{name}"))

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Build from a mapping of the keys to their values."""
        if not isinstance(config, Mapping):
            raise ConfigError(f"$: got {_shown(config)}; allowed: a mapping of configuration keys to values")
        _check_keys(cls, config, "$")
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
            ConfigError: the file is none of these, or holds no valid configuration; names the file and the key.
            OSError: the file cannot be read.
        """
        path = Path(path)
        try:
            return cls.from_dict(parse_file(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


_SECTION = "loss_logging"


class TrainConfig(CheckedConfig, frozen=True, kw_only=True):
    """What a run logs, and where to. Built from keywords, :meth:`from_dict` or :meth:`from_file`, all equal.

    Args:
        job_name: names the files of this run; a plain file name of at most 200 bytes.
        save_root: folder of the training run; everything goes to ``save_root/loss_logging``. ``~`` is expanded. A URL
            such as ``"s3://bucket/run"`` too: everything is written to ``local_root`` first, and uploaded from there.
        loggers: trackers to write to, each a name (``"tensorboard"``, ``"wandb"``, ``"package.module:Class"``), a
            mapping with ``name`` and the tracker's own options, or a :class:`~loss_logging.LoggerBackend`.
        log_per_example: keep figures of every item.
        log_per_dataset: keep figures of every dataset.
        sample_fraction: share of the records that are kept, above 0 and up to 1; the same ones in every run of a seed.
        max_records_per_step: most records that each rank keeps of one step; None keeps all.
        paired_fraction: share of the steps on which :meth:`LossLogger.is_paired_step` asks for a forward with the
            empty caption, from 0 to 1; it takes 4 of them to decide about an item.
        log_every: steps between two reports of each dataset's mean loss.
        save_every: steps between two save steps, for trainers without a rhythm of their own.
        top_k: highest losses kept per dataset.
        max_table_rows: most rows of a table in a tracker. The JSON holds every item.
        keep_reports: how many JSON reports to keep, the newest; None keeps all.
        items: where the figures of every item go: ``"json"``, in the report; ``"parquet"``, in a file beside it, for
            very large sets; or ``"both"``. ``"auto"`` is in the report for up to a million items, and beside it above.
        html: write the report page after each save step too, to ``save_root/loss_logging/{job_name}.html``.
        pictures: most items of each ranking that trackers show a small picture of, where Pillow is installed; 0 for
            none.
        load_image: ``"package.module:function"`` that gives the picture of an item whose ``path`` is no image file:
            called with path and dataset, it returns a Pillow image, an array of bytes (H, W) or (H, W, 3), the path or
            the bytes of an image file, or None.
        captions: what counts as a bad caption.
        existing: what to do with a run of the same name in the folder, when :meth:`LossLogger.resume` is not called:
            ``"archive"`` moves it away, ``"refuse"`` raises.
        overload: when records come faster than they can be written: ``"wait"`` makes ``log_batch`` wait, ``"drop"``
            drops records and says in every later report how many.
        reporter: ``"process"`` computes and writes in a second process, ``"inline"`` in the caller (notebooks, tests).
        memory_limit: most memory that the statistics may use, such as ``"512MB"``.
        threads: threads that the statistics may use.
        prefix: first part of every name in the trackers.
        timestep_scale: the value of the last timestep, 1 or 1000 for instance, for equal bins from 0 to it; None makes
            bins that hold about as many of the first timesteps each, on whatever scale they are.
        seed: decides which records ``sample_fraction`` keeps, and which steps ``paired_fraction`` takes.
        flush_seconds: longest time that records wait in memory before they are on disk.
        rank_timeout_seconds: longest time that a report waits for the records of other ranks; it names those that are
            missing.
        close_timeout_seconds: longest time that closing may take.
        spool: folder that runs with a URL are written to; ``loss_logging/spool`` in the user's cache when None.

    Raises:
        ConfigError: a key is unknown, or its value has the wrong type or is impossible; says what is allowed.
        TypeError: an unknown or missing keyword argument.

    Example:
        >>> TrainConfig(job_name="cats", save_root="runs", log_every=10).report_path(250).name
        'cats_000000250.json'
        >>> TrainConfig.from_dict({"job_name": "cats", "save_root": "runs", "log_evry": 10})
        Traceback (most recent call last):
        loss_logging.errors.ConfigError: $.log_evry is no configuration key; did you mean log_every?
    """

    job_name: JobName
    save_root: str | Path
    loggers: list[Any] = msgspec.field(default_factory=lambda: ["tensorboard"])
    log_per_example: bool = True
    log_per_dataset: bool = True
    sample_fraction: Fraction = 1.0
    max_records_per_step: Count | None = None
    paired_fraction: Share = 0.25
    log_every: Count = 50
    save_every: Count = 250
    top_k: Count = 10
    max_table_rows: Count = 500
    keep_reports: Count | None = None
    items: Items = "auto"
    html: bool = False
    pictures: Pictures = 16
    load_image: Function | None = None
    captions: CaptionConfig = msgspec.field(default_factory=CaptionConfig)
    existing: Existing = "archive"
    overload: Overload = "wait"
    reporter: Reporter = "process"
    memory_limit: MemorySize = "1GB"
    threads: Count = 1
    prefix: Prefix = "loss_logging"
    timestep_scale: Scale | None = None
    seed: Seed = 0
    flush_seconds: Seconds = 5.0
    rank_timeout_seconds: Seconds = 30.0
    close_timeout_seconds: Seconds = 60.0
    spool: str | Path | None = None

    @classmethod
    def from_section(cls, mapping: Mapping[str, Any], **defaults: Any) -> Self | None:
        """Build from the section ``loss_logging`` of another program's configuration.

        Args:
            mapping: that configuration. Its section is a mapping of our keys, True for the defaults, or False.
            defaults: what the program knows itself, such as ``job_name`` and ``save_root``; the section goes first.

        Returns:
            None when there is no such section, or it is False or null.

        Raises:
            ConfigError: the section is impossible, or its name has a typo; says where.

        Example:
            >>> TrainConfig.from_section({"lr": 1e-4, "loss_logging": {"top_k": 5}}, job_name="a", save_root="b").top_k
            5
            >>> TrainConfig.from_section({"lr": 1e-4}, job_name="a", save_root="b") is None
            True
        """
        if _SECTION not in mapping:
            for key in difflib.get_close_matches(_SECTION, [key for key in mapping if isinstance(key, str)], n=1):
                raise ConfigError(f"$.{key} is no section of loss_logging; did you mean {_SECTION}?")
            return None
        section = mapping[_SECTION]
        if section is None or section is False:
            return None
        given = {} if section is True else section
        if not isinstance(given, Mapping):
            raise ConfigError(f"$.{_SECTION}: got {_shown(section)}; allowed: a mapping, or true or false")
        try:
            return cls.from_dict({**defaults, **given})
        except ConfigError as error:
            raise ConfigError(f"$.{_SECTION}{str(error).removeprefix('$')}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold. A backend given as an instance is shown by its name."""
        plain: dict[str, Any] = msgspec.to_builtins(self, enc_hook=_plain)
        return plain

    @property
    def enabled(self) -> bool:
        """False when nothing is to be logged; then there is no thread, no process and no file."""
        return self.log_per_example or self.log_per_dataset

    @property
    def out_dir(self) -> Path:
        """Where everything is written: a sub-folder, because trainers take files in ``save_root`` for their own."""
        return self.local_root / "loss_logging"

    @property
    def url(self) -> str | None:
        """``save_root`` where it is a URL."""
        return self.save_root if isinstance(self.save_root, str) else None

    @property
    def local_root(self) -> Path:
        """``save_root``, or where it is a URL the folder on this machine that the run is uploaded from.

        >>> TrainConfig(job_name="cats", save_root="s3://bucket/run", spool="/scratch").local_root.as_posix()
        '/scratch/s3_bucket_run-38b27829'
        """
        if self.url is None:
            return Path(self.save_root)
        readable = re.sub(r"[^A-Za-z0-9._-]+", "_", self.url)[:100]
        spool = cache_dir() / "spool" if self.spool is None else Path(self.spool)
        return spool / f"{readable}-{hashlib.blake2b(self.url.encode(), digest_size=4).hexdigest()}"

    @property
    def records_dir(self) -> Path:
        """The folder of this run's record log."""
        return self.out_dir / "records" / self.job_name

    @property
    def page_path(self) -> Path:
        """The report page."""
        return self.out_dir / f"{self.job_name}.html"

    def report_path(self, step: int) -> Path:
        """The JSON report of save step ``step``."""
        return self.out_dir / f"{self.job_name}_{step:09d}.json"

    def report_paths(self) -> list[Path]:
        """The JSON reports that this run has written, by step."""
        found = self.out_dir.glob(f"{glob.escape(self.job_name)}_*.json")
        mine = (path for path in found if path.stem.removeprefix(f"{self.job_name}_").isdecimal())
        return sorted(mine, key=lambda path: (len(path.name), path.name))  # a step of ten digits comes after nine


def cache_dir() -> Path:
    """Where this user's programs keep what they can do without."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loss_logging"


def caption_config_from_file(path: str | Path) -> CaptionConfig:
    """What a YAML or JSON file says about captions: the keys of a CaptionConfig, or a TrainConfig's under ``captions``.

    Raises:
        ConfigError: the file is of another type or cannot be parsed, or a key or value is impossible.
        OSError: it cannot be read.
    """
    try:
        content = parse_file(Path(path))
        if not isinstance(content, Mapping):
            raise ConfigError(f"got {_shown(content)}; allowed: a mapping with keys of CaptionConfig")
        if "captions" in content:
            return _check_captions(content["captions"], CaptionConfig, "captions")
        return _check_captions(content, CaptionConfig, "$")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_file(path: Path) -> Any:
    """What a YAML, JSON or TOML file holds.

    Raises:
        ConfigError: it is none of them.
        OSError: it cannot be read.
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
    import yaml  # not needed by the other forms

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {error}") from error


def _convert(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the type ``hint``, or a ConfigError that says what is allowed at ``where``."""
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        literals = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
        close = _near(value, [choice for literal in literals for choice in get_args(literal)])
        raise ConfigError(f"{where}: got {_shown(value)}; allowed: {_allowed(hint)}{close}") from error


def _check_job_name(value: Any, hint: Any, where: str) -> str:
    name: str = _convert(value, hint, where)
    if len(name.encode()) > 200:
        raise ConfigError(f"{where}: got a name of {len(name.encode())} bytes; allowed: {_allowed(hint)}")
    return name


def _check_save_root(value: Any, hint: Any, where: str) -> str | Path:
    if isinstance(value, (str, Path)) and (url := as_url(value)) is not None:
        return url
    return _check_folder(value, hint, where)


def _check_spool(value: Any, hint: Any, where: str) -> Path | None:
    return None if value is None else _check_folder(value, hint, where)


def _check_folder(value: Any, _hint: Any, where: str) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise ConfigError(f"{where}: got {_shown(value)}; allowed: the path of a folder")
    return Path(value).expanduser()


def _check_captions(value: Any, hint: Any, where: str) -> CaptionConfig:
    if isinstance(value, Mapping):
        _check_keys(CaptionConfig, value, where)
    try:
        config: CaptionConfig = msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        reason, _, inner = str(error).partition(" - at `$")
        raise ConfigError(f"{where}{inner.rstrip('`')}: {reason}") from error
    return config


def _check_section(value: Any, hint: type[CheckedConfig], where: str) -> CheckedConfig:
    """A configuration inside another."""
    if isinstance(value, hint):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: got {_shown(value)}; allowed: a mapping with keys of {hint.__name__}")
    _check_keys(hint, value, where)
    hints = get_type_hints(hint, include_extras=True)
    return hint(**{name: _convert(given, hints[name], f"{where}.{name}") for name, given in value.items()})


def _check_loggers(value: Any, _hint: Any, where: str) -> list[Any]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise ConfigError(f'{where}: got {_shown(value)}; allowed: a list of loggers, such as ["tensorboard", "wandb"]')
    return [_check_logger(logger, f"{where}[{i}]") for i, logger in enumerate(value)]


def _check_logger(logger: Any, where: str) -> Any:
    if isinstance(logger, Mapping):
        if "name" not in logger:
            keys = ", ".join(map(str, logger)) or "no keys"
            raise ConfigError(f"{where}.name is missing (there is {keys})")
        _check_logger_name(logger["name"], f"{where}.name")
        return dict(logger)
    if callable(getattr(logger, "write", None)) and callable(getattr(logger, "close", None)):
        return logger
    _check_logger_name(logger, where)
    return logger


def _check_logger_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(
            f'{where}: got {_shown(name)}; allowed: a name such as "tensorboard" or "package.module:Class", '
            'a mapping such as {"name": "wandb", "project": "cats"}, or an object with write() and close()'
        )


_CHECKS: dict[str, Callable[[Any, Any, str], Any]] = {
    "job_name": _check_job_name,
    "save_root": _check_save_root,
    "spool": _check_spool,
    "captions": _check_captions,
    "loggers": _check_loggers,
    "ray": _check_section,
}


def _check_keys(struct: type[msgspec.Struct], mapping: Mapping[Any, Any], where: str) -> None:
    for key in mapping:
        if key not in struct.__struct_fields__:
            close = _near(key, struct.__struct_fields__) or f"; allowed: {', '.join(struct.__struct_fields__)}"
            raise ConfigError(f"{where}.{key} is no configuration key{close}")


def _allowed(hint: Any) -> str:
    """What a value of type ``hint`` may be, in words."""
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return str(arguments[1].description)
    if get_origin(hint) is Literal:
        return " or ".join(f'"{argument}"' for argument in arguments)
    if arguments:
        return " or ".join(map(_allowed, arguments))
    return {bool: "true or false", NoneType: "null (None)"}[hint]


def _near(given: Any, names: Iterable[str]) -> str:
    match = difflib.get_close_matches(str(given), names, n=1)
    return f"; did you mean {match[0]}?" if match else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, Path) else str(getattr(value, "name", type(value).__name__))
