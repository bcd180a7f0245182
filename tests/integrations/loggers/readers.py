"""Read back what each of our backends wrote, for the conformance suite."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_file import OfflineRun

from loss_logging.runs.config import TrainConfig
from loss_logging.testing import Contents
from loss_logging.trackers.memory import MemoryBackend


def memory(backend: Any, config: TrainConfig) -> Contents:
    assert isinstance(backend, MemoryBackend)
    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    rows = [*backend.scalars, *((report.job.step, report.scalars) for report in backend.reports)]
    for step, values in sorted(rows, key=lambda row: row[0]):
        for name, value in values.items():
            scalars[name].append((step, value))
    return Contents(scalars)


def tensorboard(backend: Any, config: TrainConfig) -> Contents:
    folder = config.out_dir / "tensorboard" / config.job_name
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    tables = {
        tag.removesuffix("/text_summary"): {
            event.step: str(event.tensor_proto.string_val[0], "utf-8").count("\n") - 1 for event in events.Tensors(tag)
        }
        for tag in tags["tensors"]
        if tag.endswith("/text_summary")  # others are settings of the page
    }
    return Contents(
        {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]},
        {
            tag: {event.step: event.histogram_value.bucket for event in events.Histograms(tag)}
            for tag in tags["histograms"]
        },
        tables,
    )


def wandb(backend: Any, config: TrainConfig) -> Contents:
    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    histograms: dict[str, dict[int, list[float]]] = defaultdict(dict)
    tables: dict[str, dict[int, int]] = defaultdict(dict)
    paths = sorted(config.out_dir.rglob("*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    for run in [OfflineRun(Path(path).parent) for path in paths]:
        for row in run.rows:
            step = row["loss_logging/step"]
            for name, value in row.items():
                if not isinstance(value, dict):
                    scalars[name].append((step, value))
                elif value["_type"] == "histogram":
                    histograms[name][step] = value["values"]
                else:
                    tables[name][step] = len(run.table(value)["data"])
    return Contents(scalars, histograms, tables)


def mlflow(backend: Any, config: TrainConfig) -> Contents:
    from mlflow import MlflowClient

    options = config.loggers[0]
    client = MlflowClient(options["tracking_uri"])
    experiment = client.get_experiment_by_name(options["experiment"])
    assert experiment is not None
    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    histograms: dict[str, dict[int, list[float]]] = defaultdict(dict)
    tables: dict[str, dict[int, int]] = defaultdict(dict)
    for run in client.search_runs([experiment.experiment_id]):
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            scalars[name] += [(point.step, point.value) for point in points]
        root = Path(str(run.info.artifact_uri).removeprefix("file://"))
        for path in root.rglob("[0-9]*.json"):
            bars = json.loads(path.read_text())
            name = path.parent.relative_to(root).as_posix()
            histograms[name][int(path.stem)] = [height or 0.0 for height in bars["heights"]]
        for path in root.rglob("*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                tables[path.parent.relative_to(root).as_posix()][int(path.stem)] = len([*csv.reader(file)]) - 1
    return Contents(scalars, histograms, tables)


def trackio(backend: Any, config: TrainConfig) -> Contents:
    from trackio.sqlite_storage import SQLiteStorage

    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    histograms: dict[str, dict[int, list[float]]] = defaultdict(dict)
    tables: dict[str, dict[int, int]] = defaultdict(dict)
    for row in SQLiteStorage.get_logs(backend.project, config.job_name):
        for name, value in row.items():
            if isinstance(value, dict) and value["_type"] == "trackio.histogram":
                histograms[name][row["step"]] = value["values"]
            elif isinstance(value, dict):
                tables[name][row["step"]] = len(value["_value"])
            elif isinstance(value, (int, float)):
                scalars[name].append((row["step"], value))
    return Contents(scalars, histograms, tables)


def comet(backend: Any, config: TrainConfig) -> Contents:
    """Comet re-bins histograms, so their heights are not compared."""
    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    tables: dict[str, dict[int, int]] = defaultdict(dict)
    for path in sorted((config.out_dir / "comet").glob("*.zip"), key=lambda path: path.stat().st_mtime_ns):
        with zipfile.ZipFile(path) as archive:
            for message in map(json.loads, archive.read("messages.json").decode().splitlines()):
                payload = message["payload"]
                if message["type"] == "metric_msg" and payload["metric"]["metricName"].startswith("loss_logging/"):
                    metric = payload["metric"]
                    scalars[metric["metricName"]].append((metric["step"], metric["metricValue"]))
                elif message["type"] == "file_upload" and payload["additional_params"].get("extension") == "csv":
                    text = io.StringIO(archive.read(payload["file_path"]).decode(), newline="")
                    name, _, _ = payload["additional_params"]["fileName"].rpartition("/")
                    tables[name][payload["additional_params"]["step"]] = len([*csv.reader(text)]) - 1
    return Contents(scalars, None, tables)
