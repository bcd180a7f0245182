"""Doctor: lists installed packages and known trackers, and tests whether a folder is writable and each tracker takes a
report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import distributions, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from loss_logging.errors import ConfigError, MissingExtraError
from loss_logging.reports.artifact import read_report
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.backends import ENTRY_POINT_GROUP, BackendSpec, select_backends
from loss_logging.trackers.delivery import Delivery
from loss_logging.training.logger import LossLogger
from loss_logging.training.registered import registered_trainers

__all__ = ["Observation", "examine"]

_PACKAGES = [
    *("loss-logging", "numpy", "pyarrow", "duckdb", "msgspec", "pillow"),
    *("torch", "diffusers", "transformers", "accelerate", "lightning"),
    *("tensorboard", "wandb", "mlflow", "mlflow-skinny", "trackio", "comet-ml"),
]
_SETTINGS = ("WANDB_", "MLFLOW_", "COMET_", "TRACKIO_")
_SECRET = ("KEY", "TOKEN", "PASSWORD", "SECRET")


class Observation(NamedTuple):
    """One observation. ``ok`` is None if it is neither good nor bad."""

    subject: str
    ok: bool | None
    text: str


def examine(folder: Path, loggers: Sequence[Any], timeout: float = 60.0) -> Iterator[Observation]:
    """Examine the installation, the folder and the loggers, and send a report of 2 records to each logger.

    Args:
        folder: a ``save_root``; nothing stays in it, nor it itself where it was not there.
        loggers: entries as in ``TrainConfig.loggers``.
        timeout: seconds for each logger.
    """
    yield from _installed()
    yield from _settings()
    yield from map(_known, sorted(entry_points(group=ENTRY_POINT_GROUP).names))
    for point in registered_trainers().values():
        yield Observation(f"trainer {point.name}", None, f"tested with pytest --loss-logging-trainer {point.name}")
    try:
        with (
            _existing(folder) as there,
            tempfile.TemporaryDirectory(prefix="loss_logging_doctor_", dir=there) as scratch,
        ):
            report = _small_report(Path(scratch))
            yield Observation(str(folder), True, "can be written")
            for logger in loggers:
                yield _try(logger, report, Path(scratch), timeout)
    except OSError as error:
        yield Observation(str(folder), False, f"cannot be written: {error}; choose another save_root")


@contextmanager
def _existing(folder: Path) -> Iterator[Path]:
    """Makes the folders that are missing, and takes them away again."""
    folder = folder.resolve()  # so that "missing/../mine" is not taken for a missing one
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        for parent in missing:
            with suppress(OSError):  # somebody else has put something there
                parent.rmdir()


def _installed() -> Iterator[Observation]:
    there = {distribution.name.lower().replace("_", "-"): distribution.version for distribution in distributions()}
    return (Observation(name, None, there[name]) for name in _PACKAGES if name in there)


def _settings() -> Iterator[Observation]:
    for name in sorted(os.environ):
        if name.startswith(_SETTINGS):
            hidden = any(word in name for word in _SECRET)
            yield Observation(name, None, "is set" if hidden else os.environ[name])


def _known(name: str) -> Observation:
    try:
        select_backends([name])
    except MissingExtraError as error:
        return Observation(f"logger {name}", None, f"not installed; {str(error).rpartition('; ')[2]}")
    except ConfigError as error:
        return Observation(f"logger {name}", None, f"needs options: {error}")
    return Observation(f"logger {name}", None, "installed")


def _small_report(folder: Path) -> LossReport:
    config = TrainConfig(job_name="loss-logging-doctor", save_root=folder, loggers=[], reporter="inline")
    with LossLogger(config) as losses:
        names = {"paths": ["1.png", "2.png"], "captions": ["a cat on a sofa", "untitled"]}
        losses.log_batch(1, [0.25, 0.75], datasets="doctor", **names)  # type: ignore[arg-type]
        path = losses.save_step(1).result()
    assert path is not None
    return read_report(path)


def _try(logger: Any, report: LossReport, folder: Path, timeout: float) -> Observation:
    name = logger if isinstance(logger, str) else str(getattr(logger, "name", None) or logger["name"])
    subject = f"report to {name}"
    try:
        selection = select_backends([logger])
    except (ConfigError, MissingExtraError) as error:
        return Observation(subject, False, str(error))
    if not selection.reporter:
        return Observation(
            subject, None, "not tested: it writes to an object of the trainer, which exists only in training"
        )
    spec: BackendSpec = selection.reporter[0]
    config = TrainConfig(job_name="loss-logging-doctor", save_root=folder, loggers=[logger])
    delivery = Delivery(spec, config, retry_delays=())
    delivery.write(report)
    undelivered = delivery.close(timeout)
    return Observation(subject, undelivered is None, "it has arrived" if undelivered is None else str(undelivered))
