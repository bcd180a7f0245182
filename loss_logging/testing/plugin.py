"""The pytest plugin: ``pytest --loss-logging-backend module:Class`` runs the conformance suite for a backend.

pytest loads it wherever loss_logging is installed, so that it imports next to nothing by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loss_logging.errors import ConfigError

if TYPE_CHECKING:
    from loss_logging.testing.subject import Reader, Subject

pytest.register_assert_rewrite("loss_logging.testing.conformance")

_BACKEND = "--loss-logging-backend"
_READER = "--loss-logging-reader"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options, in a group of their own."""
    group = parser.getgroup("loss_logging", "loss_logging: conformance of logger backends")
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


def pytest_configure(config: pytest.Config) -> None:
    """Without a file or folder on the command line, a backend's suite is what is run, not the tests of the folder."""
    if config.getoption(_BACKEND) and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(Path(__file__).with_name("conformance.py"))]


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
