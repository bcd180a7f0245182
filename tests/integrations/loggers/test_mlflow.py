"""The MLflow backend, beyond what the conformance suite checks."""

from __future__ import annotations

import csv
import logging
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from loss_logging import LossLogger
from loss_logging.integrations.loggers.mlflow import MlflowBackend
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

MakeReport = Callable[[int], LossReport]
LOSS = "loss_logging/loss/cats"


@pytest.fixture
def uri(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that the tests share: to make one takes seconds. Artifacts go to the test's folder."""
    shared = tmp_path_factory.getbasetemp() / "mlflow"
    shared.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{shared}/mlflow.db"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_the_trainers_run_gets_our_values_and_stays_open(
    uri: str, config: TrainConfig, make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its run_id, or MLFLOW_RUN_ID, the trainer's run is written to; its own metrics and status are untouched."""
    client = mlflow.MlflowClient(uri)
    run = client.create_run(client.create_experiment(str(config.save_root)))
    client.log_metric(run.info.run_id, "train/loss", 0.25, step=7)
    MlflowBackend.from_config(config, run_id=run.info.run_id, tracking_uri=uri).write(make_report(10))
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    backend = MlflowBackend.from_config(config, tracking_uri=uri)
    backend.write_scalars(20, {LOSS: 0.5})
    backend.close()
    found = client.get_run(run.info.run_id)
    assert found.info.status == "RUNNING"
    assert found.data.metrics["train/loss"] == 0.25
    assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, LOSS)] == [(10, 10.5), (20, 0.5)]


def test_another_process_continues_our_run(
    uri: str, config: TrainConfig, make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second backend of the same training run goes on in its MLflow run, in MLFLOW_EXPERIMENT_NAME."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", str(config.save_root))
    for step in (10, 20):
        backend = MlflowBackend.from_config(config, tracking_uri=uri)
        backend.write(make_report(step))
        backend.close()
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(str(config.save_root))
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("cats", "FINISHED")
    paths = {path for folder in ("worst/hard", "reports") for path in artifacts(client, run, folder)}
    assert paths == {"000000010.csv", "000000020.csv", "cats_000000010.json", "cats_000000020.json"}


def artifacts(client: Any, run: Any, folder: str) -> list[str]:
    return [Path(found.path).name for found in client.list_artifacts(run.info.run_id, f"loss_logging/{folder}")]


def test_a_table_shows_its_cells(uri: str, config: TrainConfig, make_report: MakeReport) -> None:
    """The CSV holds every cell, cut where a caption is endless, and none begins like a formula."""
    backend = MlflowBackend.from_config(config, tracking_uri=uri, experiment=str(config.save_root))
    report = make_report(10)
    backend.write(report)
    backend.close()
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name(str(config.save_root)).experiment_id])
    path = Path(run.info.artifact_uri.removeprefix("file://"), "loss_logging/flagged_captions/000000010.csv")
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    table = report.tables["loss_logging/flagged_captions"]
    assert columns == table.columns
    assert len(rows) == config.max_table_rows
    captions = [row[2] for row in rows]
    assert captions[0] == report.flagged[0].caption
    assert captions[5] == "x" * 999 + "…"
    assert rows[0][-1] == ""


def test_a_server_that_is_down_is_named_and_training_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The warning says which server does not answer and what to do; the JSON is written."""
    uri = f"http://127.0.0.1:{free_port()}"
    logger = {"name": "mlflow", "tracking_uri": uri}
    with LossLogger(job_name="a", save_root=tmp_path, loggers=[logger], reporter="inline") as losses:
        losses.log_batch(1, [0.5], paths=["1.png"], datasets="cats", captions=["a cat on a sofa"])
        saved = losses.save_step(1).result()
    assert saved is not None
    assert saved.exists()
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any(f"the MLflow server {uri} does not answer" in w and "MLFLOW_TRACKING_URI" in w for w in warnings)


@pytest.mark.long
def test_a_local_server(config: TrainConfig, make_report: MakeReport, tmp_path: Path) -> None:
    """Through a server everything arrives; once it is gone, a write says so."""
    pytest.importorskip("flask")  # of the whole mlflow
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/m.db",
        "--artifacts-destination",
        str(tmp_path / "served"),
    ]
    with (tmp_path / "server.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            await_server(uri, server)
            backend = MlflowBackend.from_config(config, tracking_uri=uri, experiment="ours")
            backend.write(make_report(10))
            client = mlflow.MlflowClient(uri)
            (run,) = client.search_runs([client.get_experiment_by_name("ours").experiment_id])
            assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, LOSS)] == [(10, 10.5)]
            assert artifacts(client, run, "worst/hard") == ["000000010.csv"]
        finally:
            server.terminate()
    with pytest.raises(ConnectionError, match="does not answer"):
        backend.write(make_report(20))


def await_server(uri: str, server: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert server.poll() is None, "the server did not start"
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=2).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    wait_until(answers, every=0.2)
