"""The pytest plugin: ``pytest --loss-logging-backend module:Class`` runs the conformance suite for a backend, and
``pytest --loss-logging-trainer module:function`` the one for the adapter of a trainer.

pytest loads it wherever loss_logging is installed, so that it imports next to nothing by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loss_logging.errors import ConfigError

if TYPE_CHECKING:
    from loss_logging.testing.subject import Reader, Subject
    from loss_logging.testing.trainer import TrainerSubject

pytest.register_assert_rewrite("loss_logging.testing.conformance", "loss_logging.testing.trainer_conformance")

_BACKEND = "--loss-logging-backend"
_READER = "--loss-logging-reader"
_TRAINER = "--loss-logging-trainer"
_SUITES = {_BACKEND: "conformance.py", _TRAINER: "trainer_conformance.py"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Three options, in a group of their own."""
    group = parser.getgroup("loss_logging", "loss_logging: conformance of logger backends and of trainers")
    group.addoption(
        _BACKEND,
        metavar="ENTRY",
        help="run the conformance suite for this backend: a name, module:Class, or '{name: module:Class, option: 1}'",
    )
    group.addoption(
        _READER,
        metavar="module:function",
        help="function(backend, config) -> loss_logging.testing.Contents, to compare what arrived",
    )
    group.addoption(
        _TRAINER,
        metavar="ENTRY",
        help="run the conformance suite for this trainer: a name, or module:function(Task) -> Trained",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Without a file or folder on the command line, the suites are what is run, not the tests of the folder."""
    suites = [str(Path(__file__).with_name(file)) for option, file in _SUITES.items() if config.getoption(option)]
    if suites and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = suites


@pytest.fixture
def loss_logging_backend(request: pytest.FixtureRequest) -> Any:
    """The backend under test, as in ``TrainConfig.loggers``."""
    given = request.config.getoption(_BACKEND)
    if given is None:
        raise pytest.UsageError(f"give {_BACKEND} module:Class, or override the fixture loss_logging_backend")
    if not given.startswith("{"):
        return given
    import yaml

    return yaml.safe_load(given)


@pytest.fixture
def loss_logging_reader(request: pytest.FixtureRequest) -> Reader | None:
    """How to read back what was written; None where nobody says."""
    given = request.config.getoption(_READER)
    if given is None:
        return None
    from loss_logging.support.names import load

    try:
        reader: Reader = load(given, _READER, "module:function")
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    return reader


@pytest.fixture
def loss_logging_subject(loss_logging_backend: Any, loss_logging_reader: Reader | None, tmp_path: Path) -> Subject:
    """The backend under test, for a run in a folder of its own."""
    from loss_logging.runs.config import TrainConfig
    from loss_logging.testing.subject import Subject

    config = TrainConfig(job_name="conformance", save_root=tmp_path, loggers=[loss_logging_backend])
    return Subject(loss_logging_backend, config, loss_logging_reader)


@pytest.fixture
def loss_logging_trainer(request: pytest.FixtureRequest) -> Any:
    """The trainer under test: a name of the group ``loss_logging.trainers``, ``"module:function"``, or the function."""
    given = request.config.getoption(_TRAINER)
    if given is None:
        raise pytest.UsageError(f"give {_TRAINER} module:function, or override the fixture loss_logging_trainer")
    return given


@pytest.fixture
def loss_logging_trainer_subject(loss_logging_trainer: Any, tmp_path: Path) -> TrainerSubject:
    """The trainer under test, with a folder for each training."""
    from loss_logging.testing.trainer import TrainerSubject

    try:
        return TrainerSubject(loss_logging_trainer, tmp_path)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
