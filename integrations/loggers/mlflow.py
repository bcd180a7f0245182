"""The MLflow backend."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loss_logging.integrations.loggers.cells import csv_table, file_stem, fit_name
from loss_logging.reports.report import LossReport
from loss_logging.support.files import whole_file
from loss_logging.support.warn import LOGGER
from loss_logging.trackers.backends import Requirements

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["MlflowBackend"]

_NO_PATH = r"(?<=/)(?=/|$)|(?<![^/])\.+(?![^/])"  # an empty part, or a part of only dots
_REFUSED = re.compile(rf"[^\w\-. :/]|{_NO_PATH}")
_REFUSED_IN_FILES = re.compile(rf"[^\w\-./]|{_NO_PATH}", re.ASCII)
_MAX_NAME = 250
_MAX_BATCH = 1000  # the most metrics that a server accepts in one call
_ANSWER_SECONDS = 5.0


class MlflowBackend:
    """Writes to its own MLflow run, or to the run with the given ``run_id``.

    MLflow charts scalars. It has no histograms and no tables by step, so these become artifacts of the run, one file
    per save step: ``{name}/{step}.json`` with edges and heights, and ``{name}/{step}.csv``, which is shown as a table.
    The JSON report is an artifact, too. Characters of a name that MLflow refuses become ``_``, with a checksum.

    Args:
        run_id: the run to write to, such as the trainer's ``mlflow.active_run().info.run_id``; else MLFLOW_RUN_ID, else
            our own run, which later processes of the same training run continue.
        experiment: name of the experiment of our own run; else MLFLOW_EXPERIMENT_NAME, or MLflow's default.
        tracking_uri: the store or server; else MLFLOW_TRACKING_URI, or MLflow's default.
        run_name: display name of our own run.
        run_file: the file with the identifier of our own run; None stores it nowhere.
    """

    name = "mlflow"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        run_file: Path | None = None,
    ) -> None:
        self.requirements(run_id=run_id, experiment=experiment)
        self._run_id = run_id or os.environ.get("MLFLOW_RUN_ID")
        self._experiment = experiment
        self._tracking_uri = tracking_uri
        self._run_name = run_name
        self._run_file = run_file
        self._is_own = self._run_id is None
        self._client: Any = None
        self._server: str | None = None

    @classmethod
    def from_config(
        cls,
        config: TrainConfig,
        *,
        run_id: str | None = None,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        run_name: str | None = None,
    ) -> MlflowBackend:
        """``run_name`` defaults to the job's name."""
        return cls(
            run_id=run_id,
            experiment=experiment,
            tracking_uri=tracking_uri,
            run_name=run_name or config.job_name,
            run_file=config.paths.delivered / f"{file_stem('mlflow', experiment)}.json",
        )

    @classmethod
    def requirements(cls, *, run_id: str | None = None, experiment: str | None = None, **_: Any) -> Requirements:
        """The mlflow package."""
        if run_id is not None and experiment is not None:
            raise ValueError("give either run_id (an existing run) or experiment (for a new run)")
        return Requirements({"mlflow": "loss-logging[mlflow]"})

    def write(self, report: LossReport) -> None:
        """Write the artifacts, then the scalars."""
        client, step = self._open(), report.job.step
        for name, histogram in report.histograms.items():
            self._log_bars(name, step, histogram.edges, histogram.counts)
        for name, curve in report.curves.items():
            self._log_bars(name, step, curve.edges, curve.means)
        for name, table in report.tables.items():
            text = csv_table(table)
            client.log_text(self._run_id, text, _artifact(name, step, "csv"))
        if report.json_path is not None and Path(report.json_path).exists():
            client.log_artifact(self._run_id, report.json_path, "loss_logging/reports")
        self._log_scalars(step, report.scalars)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the values."""
        self._open()
        self._log_scalars(step, scalars)

    def forget_after(self, step: int) -> bool:  # noqa: ARG002
        """MLflow keeps what it has."""
        return False

    def close(self) -> None:
        """End the run if it is our own."""
        if self._client is not None and self._is_own:
            self._check_server()
            self._client.set_terminated(self._run_id)
        self._client = None

    def _log_bars(self, name: str, step: int, edges: Any, heights: Any) -> None:
        text = msgspec.json.encode({"edges": edges, "heights": heights}).decode()
        self._client.log_text(self._run_id, text, _artifact(name, step, "json"))

    def _log_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        metrics = [Metric(fit_name(name, _REFUSED, _MAX_NAME), value, now, step) for name, value in scalars.items()]
        for start in range(0, len(metrics), _MAX_BATCH):
            self._client.log_batch(self._run_id, metrics[start : start + _MAX_BATCH])

    def _open(self) -> Any:
        if self._client is None:
            import mlflow

            uri = self._tracking_uri or mlflow.get_tracking_uri()
            self._server = uri if uri.startswith(("http://", "https://")) else None
            self._check_server()
            client = mlflow.MlflowClient(uri)
            if self._is_own:
                self._run_id = self._continued(client) or self._begin(client)
                LOGGER.info("MLflow run %s at %s", self._run_id, uri)
            else:
                client.get_run(self._run_id)
            self._client = client
        else:
            self._check_server()
        return self._client

    def _continued(self, client: Any) -> str | None:
        """The run that an earlier process began, with its status set to running."""
        if self._run_file is None or not self._run_file.exists():
            return None
        run_id: str = msgspec.json.decode(self._run_file.read_bytes(), type=str)
        client.update_run(run_id, status="RUNNING")
        return run_id

    def _begin(self, client: Any) -> str:
        name = self._experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
        given_id = None if self._experiment else os.environ.get("MLFLOW_EXPERIMENT_ID")
        known = None if given_id else client.get_experiment_by_name(name)
        experiment_id = given_id or (known.experiment_id if known else client.create_experiment(name))
        run_id: str = client.create_run(experiment_id, run_name=self._run_name).info.run_id
        if self._run_file is not None:
            self._run_file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._run_file) as file:
                file.write(msgspec.json.encode(run_id))
        return run_id

    def _check_server(self) -> None:
        """Raise if the server does not answer; MLflow alone would try for four minutes without a message."""
        if self._server is None:
            return
        import requests

        try:
            requests.get(f"{self._server.rstrip('/')}/health", timeout=_ANSWER_SECONDS)
        except requests.RequestException as error:
            raise ConnectionError(
                f"the MLflow server {self._server} does not answer ({type(error).__name__}): start it, or set "
                "tracking_uri (or MLFLOW_TRACKING_URI) to its address; loss-logging push delivers the missing data"
            ) from error


def _artifact(name: str, step: int, kind: str) -> str:
    return f"{fit_name(name, _REFUSED_IN_FILES, _MAX_NAME)}/{step:09d}.{kind}"
