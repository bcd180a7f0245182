"""The conformance suite, on every backend of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import readers
from tracker_files import collect_garbage

from loss_logging.testing.conformance import *  # noqa: F403
from loss_logging.testing.subject import Reader

# Of the SQLAlchemy that MLflow uses.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

_LOGGERS = "loss_logging.integrations.loggers"
BACKENDS: dict[str, tuple[str, dict[str, Any], Reader]] = {
    "memory": ("loss_logging", {}, readers.memory),
    "tensorboard": ("tensorboard", {}, readers.tensorboard),
    "wandb": ("wandb", {"project": "ours", "mode": "offline"}, readers.wandb),
    f"{_LOGGERS}.mlflow:MlflowBackend": (
        "mlflow",
        {"tracking_uri": "sqlite:///{shared}/mlflow.db", "experiment": "{unique}"},
        readers.mlflow,
    ),
    f"{_LOGGERS}.trackio:TrackioBackend": ("trackio", {"project": "{unique}"}, readers.trackio),
    f"{_LOGGERS}.comet:CometBackend": ("comet_ml", {"project": "ours", "offline": True}, readers.comet),
}
"""By name: the module that it needs, its options, and how to read it back."""


@pytest.fixture(params=BACKENDS, ids=lambda name: name.rpartition(":")[2])
def ours(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of one of our backends."""
    pytest.importorskip(BACKENDS[request.param][0])
    yield request.param
    collect_garbage()


@pytest.fixture
def loss_logging_backend(
    ours: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The entry of ``TrainConfig.loggers``. MLflow takes seconds to make a store: its experiments share one."""
    shared = tmp_path_factory.getbasetemp() / "mlflow"
    shared.mkdir(exist_ok=True)
    monkeypatch.chdir(shared)  # MLflow puts the artifacts of a SQLite store below the current folder
    where = {"shared": shared, "unique": f"{tmp_path.parent.name}-{tmp_path.name}"}
    options = BACKENDS[ours][1]
    return {"name": ours} | {k: v.format(**where) if isinstance(v, str) else v for k, v in options.items()}


@pytest.fixture
def loss_logging_reader(ours: str) -> Reader:
    """Reads back what was written."""
    return BACKENDS[ours][2]
