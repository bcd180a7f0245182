"""TrainConfig: the settings of a run."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.decisions import Decisions
from loss_logging.errors import ConfigError
from loss_logging.runs.paths import RunPaths
from loss_logging.support.checked_config import (
    Check,
    CheckedConfig,
    Count,
    Fraction,
    Function,
    JobName,
    MemorySize,
    Scale,
    Seconds,
    Seed,
    Share,
    allowed_values,
    check_section,
    convert,
    shown,
)
from loss_logging.support.files import cache_dir
from loss_logging.support.object_store import as_url

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Pictures", "TrainConfig", "check_job_name", "check_save_root", "spool_of"]

Prefix: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\Z",
        description="letters, digits, '_', '.', '-', in parts separated by single slashes",
    ),
]
Reporter: TypeAlias = Literal["process", "inline"]
Items: TypeAlias = Literal["auto", "json", "parquet", "both"]
Rivals: TypeAlias = Annotated[
    str, Meta(min_length=1, description='"auto", "none", or the path of a file that Rivals.save has written')
]
Most: TypeAlias = Annotated[int, Meta(ge=0, le=64, description="a whole number from 0 to 64")]


_SECTION = "loss_logging"


class Pictures(CheckedConfig, frozen=True, kw_only=True):
    """The small pictures of items in trackers.

    Args:
        most: number of items with a picture in each ranking, from 0 to 64; needs Pillow.
        load: ``"package.module:function"``, a function that returns the picture of an item whose ``path`` is no image
            file. It takes path and dataset and returns a Pillow image, a uint8 array (H, W) or (H, W, 3), the path or
            the bytes of an image file, or None.
    """

    most: Most = 16
    load: Function | None = None


class Timeouts(CheckedConfig, frozen=True, kw_only=True):
    """The longest waiting times of a run, in seconds.

    Args:
        flush: longest time that records stay in memory before they are on disk.
        ranks: longest time that a report waits for the records of other ranks; it then names the missing ranks.
        close: longest time that closing may take.
    """

    flush: Seconds = 5.0
    ranks: Seconds = 30.0
    close: Seconds = 60.0


class TrainConfig(CheckedConfig, frozen=True, kw_only=True):
    """The settings of a run, from keywords, :meth:`from_dict` or :meth:`from_file`, which are equal.

    Args:
        job_name: names the files of this run; a plain file name of at most 200 bytes.
        save_root: folder of the training run; all files go to ``save_root/loss_logging``. ``~`` is expanded. A URL
            such as ``"s3://bucket/run"`` is possible: files are written to ``local_root`` and uploaded from there.
        loggers: the trackers, each a name (``"tensorboard"``, ``"wandb"``, ``"package.module:Class"``), a
            mapping with ``name`` and the tracker's own options, or a :class:`~loss_logging.LoggerBackend`.
        log_per_example: compute figures of each item.
        log_per_dataset: compute figures of each dataset.
        sample_fraction: share of the records that are kept, above 0 and up to 1; the same records for the same seed.
        max_records_per_step: largest number of records that each rank keeps per step; None keeps all.
        paired_fraction: share of the steps on which :meth:`LossLogger.is_paired_step` asks for a forward with the
            empty caption or a rival's, from 0 to 1. The default costs at most 2% of a step. Where pictures are compared
            with captions, each such pair counts; by losses alone, an item is decided after 4 with the empty caption:
            0.25 suits sets of fewer than 100 captions, and items without pictures.
        rivals: the source of the captions of rivals. ``"auto"`` finds them beside training, for at most 10,000 items,
            in a process of low priority, if the extra ``evidence`` is installed and items have pictures (see
            ``pictures.load``); ``"none"`` compares with the empty caption alone; another value is the path of a file
            that ``Rivals.save`` has written. What pictures say of the items' own captions is found with them, and
            gives reports their ``p_wrong``.
        log_every: number of steps between two mean losses of each dataset in the trackers.
        save_every: number of steps between two save steps, for trainers that save at no fixed interval.
        top_k: number of highest losses that are kept per dataset.
        max_table_rows: largest number of rows of a table in a tracker. The JSON holds every item.
        keep_reports: number of newest JSON reports to keep; None keeps all.
        items: place of the items' figures: ``"json"``, in the report; ``"parquet"``, in a file beside it, for very
            large datasets; or ``"both"``. ``"auto"`` means ``"json"`` for up to a million items, else ``"parquet"``.
        html: also write the report page after each save step, to ``save_root/loss_logging/{job_name}.html``.
        images: the folder of relative paths of items, beside which decisions about them are kept; the working directory
            when None. Where it is given, pictures are compared with captions for a trainer that has no rivals, too.
        pictures: the small pictures in trackers, a mapping with keys of `Pictures`: ``most`` (16) and ``load``.
        captions: the settings of the caption rules, a mapping with keys of `CaptionConfig`.
        reporter: ``"process"`` computes and writes in a second process, ``"inline"`` in the caller (notebooks, tests).
        memory_limit: memory limit of the statistics, such as ``"512MB"``.
        threads: number of threads of the statistics.
        prefix: first part of every name in the trackers.
        timestep_scale: the value of the last timestep, such as 1 or 1000, for bins of equal width from 0 to it; None
            makes bins with about the same number of the first timesteps, on any scale.
        seed: decides which records ``sample_fraction`` keeps, and which steps ``paired_fraction`` selects.
        timeouts: waiting times in seconds, a mapping with keys of `Timeouts`: ``flush`` (5), ``ranks`` (30) and
            ``close`` (60).
        spool: folder for the local files of runs with a URL; ``loss_logging/spool`` in the user's cache when None.
        exclude: a list of items to leave out of the training, in addition to excluded items of decisions: a file with a
            path per line, as ``loss-logging export --to exclude-list`` writes, or a ``.jsonl`` of decisions.

    Raises:
        ConfigError: a key is unknown, or its value has the wrong type or is out of range; the message says which
            values are allowed.
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
    paired_fraction: Share = 0.04
    rivals: Rivals = "auto"
    log_every: Count = 50
    save_every: Count = 250
    top_k: Count = 10
    max_table_rows: Count = 500
    keep_reports: Count | None = None
    items: Items = "auto"
    html: bool = False
    images: str | Path | None = None
    pictures: Pictures = msgspec.field(default_factory=Pictures)
    captions: CaptionConfig = msgspec.field(default_factory=CaptionConfig)
    reporter: Reporter = "process"
    memory_limit: MemorySize = "1GB"
    threads: Count = 1
    prefix: Prefix = "loss_logging"
    timestep_scale: Scale | None = None
    seed: Seed = 0
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    spool: str | Path | None = None
    exclude: str | Path | None = None

    _old_keys: ClassVar[Mapping[str, str]] = {
        "flush_seconds": "timeouts.flush",
        "rank_timeout_seconds": "timeouts.ranks",
        "close_timeout_seconds": "timeouts.close",
        "pictures": "pictures.most",
        "load_image": "pictures.load",
        "existing": "",
        "overload": "",
    }

    @classmethod
    def _checks(cls) -> Mapping[str, Check]:
        return {
            "job_name": check_job_name,
            "save_root": check_save_root,
            "spool": _check_optional_folder,
            "images": _check_optional_folder,
            "exclude": _check_exclude,
            "captions": check_section,
            "loggers": _check_loggers,
            "pictures": check_section,
            "timeouts": check_section,
        }

    @classmethod
    def from_section(cls, mapping: Mapping[str, Any], **defaults: Any) -> Self | None:
        """Build from the section ``loss_logging`` of another program's configuration.

        Args:
            mapping: the program's configuration. Its section is a mapping of our keys, True for the defaults, or False.
            defaults: values of the program, such as ``job_name`` and ``save_root``; the section overrides them. Of a
                mapping, such as ``captions``, it overrides key by key.

        Returns:
            The configuration; None if there is no such section, or it is False or null.

        Raises:
            ConfigError: the section has an invalid value, or its name has a typo; the message says where.

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
            raise ConfigError(f"$.{_SECTION}: got {shown(section)}; allowed: a mapping, or true or false")
        try:
            return cls.from_dict(_overridden(defaults, given))
        except ConfigError as error:
            raise ConfigError(f"$.{_SECTION}{str(error).removeprefix('$')}") from error

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data for JSON. A backend that was given as an object appears as its name."""
        plain: dict[str, Any] = msgspec.to_builtins(self, enc_hook=_plain)
        return plain

    @property
    def enabled(self) -> bool:
        """False if the run logs nothing; then there is no thread, no process and no file."""
        return self.log_per_example or self.log_per_dataset

    @property
    def paths(self) -> RunPaths:
        """The paths of all files of the run."""
        return RunPaths(self.local_root, self.job_name)

    @property
    def decisions(self) -> Decisions:
        """What was decided about items, beside their images or in the run's own file."""
        return Decisions(None if self.images is None else Path(self.images), self.paths.decisions)

    @property
    def rivals_file(self) -> Path | None:
        """The file of rivals and of what pictures say of captions, which need not be there; None without rivals."""
        named = {"auto": self.paths.rivals, "none": None}
        return named[self.rivals] if self.rivals in named else Path(self.rivals)

    @property
    def out_dir(self) -> Path:
        """The folder of all files: a sub-folder of ``save_root``, as trainers read files in ``save_root`` itself."""
        return self.paths.out_dir

    @property
    def url(self) -> str | None:
        """``save_root`` if it is a URL, else None."""
        return self.save_root if isinstance(self.save_root, str) else None

    @property
    def local_root(self) -> Path:
        """``save_root``; if that is a URL, the local folder that the run is uploaded from.

        >>> TrainConfig(job_name="cats", save_root="s3://bucket/run", spool="/scratch").local_root.as_posix()
        '/scratch/s3_bucket_run-38b27829'
        """
        return Path(self.save_root) if self.url is None else spool_of(self.url, self.spool)

    @property
    def records_dir(self) -> Path:
        """The folder of this run's record log."""
        return self.paths.records

    @property
    def page_path(self) -> Path:
        """The report page."""
        return self.paths.page

    def report_path(self, step: int) -> Path:
        """The JSON report of save step ``step``."""
        return self.paths.report(step)

    def report_paths(self) -> list[Path]:
        """The JSON reports of this run, in the order of their steps."""
        return self.paths.reports()


def spool_of(url: str, spool: str | Path | None = None) -> Path:
    """The local folder that the run at ``url`` is uploaded from.

    Args:
        url: the ``save_root`` of the run.
        spool: the folder for all such runs; a folder in the user's cache when None.
    """
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", url)[:100]
    folder = cache_dir() / "spool" if spool is None else Path(spool)
    return folder / f"{readable}-{hashlib.blake2b(url.encode(), digest_size=4).hexdigest()}"


def _overridden(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    inner = {
        key: _overridden(value, given[key])
        for key, value in defaults.items()
        if isinstance(value, Mapping) and isinstance(given.get(key), Mapping)
    }
    return {**defaults, **given, **inner}


def check_job_name(value: Any, hint: Any, where: str) -> str:
    name: str = convert(value, hint, where)
    if len(name.encode()) > 200:
        raise ConfigError(f"{where}: got a name of {len(name.encode())} bytes; allowed: {allowed_values(hint)}")
    return name


def check_save_root(value: Any, hint: Any, where: str) -> str | Path:
    if isinstance(value, (str, Path)) and (url := as_url(value)) is not None:
        return url
    return _check_folder(value, hint, where)


def _check_optional_folder(value: Any, hint: Any, where: str) -> Path | None:
    return None if value is None else _check_folder(value, hint, where)


def _check_exclude(value: Any, _hint: Any, where: str) -> Path | None:
    return None if value is None else _check_path(value, where, "the path of a file, a list of items")


def _check_folder(value: Any, _hint: Any, where: str) -> Path:
    return _check_path(value, where, "the path of a folder")


def _check_path(value: Any, where: str, allowed: str) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise ConfigError(f"{where}: got {shown(value)}; allowed: {allowed}")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{where}: got {shown(value)}; allowed: {allowed}; there is no such user") from error


def _check_loggers(value: Any, _hint: Any, where: str) -> list[Any]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise ConfigError(f'{where}: got {shown(value)}; allowed: a list of loggers, such as ["tensorboard", "wandb"]')
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
            f'{where}: got {shown(name)}; allowed: a name such as "tensorboard" or "package.module:Class", '
            'a mapping such as {"name": "wandb", "project": "cats"}, or an object with write() and close()'
        )


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, Path) else str(getattr(value, "name", type(value).__name__))
