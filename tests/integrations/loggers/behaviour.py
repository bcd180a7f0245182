"""What trackers make of NaN, of equal steps, of histograms and of mixed columns: each is run, and read back.

    python tests/integrations/loggers/behaviour.py

prints the table of docs/tracker_behaviour.md. No tracker is asked over a network.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

NAN = [(1, math.nan), (2, math.inf), (3, 1.0)]
EQUAL = [(5, 1.0), (5, 2.0)]
BACK = [(10, 1.0), (5, 2.0)]
SERIES = {"nan": NAN, "equal": EQUAL, "back": BACK}
EDGES, HEIGHTS = [0.0, 1.0, 2.0, 4.0], [0.25, 0.0, 1.5]
COLUMN = [1, "two", None, 2.5]

QUESTIONS = {
    "nan": "NaN, infinity, 1.0 at steps 1, 2, 3",
    "equal": "1.0, then 2.0, both at step 5",
    "back": "1.0 at step 10, then 2.0 at step 5",
    "histogram": "heights 0.25, 0, 1.5 of a histogram",
    "table": "a column of 1, two, nothing, 2.5",
}


def points(found: Any) -> str:
    """Steps and values as a reader sees them."""
    shown = [f"{step}: {'none' if value is None else value}" for step, value in found]
    return ", ".join(shown) or "nothing"


def refused(call: Callable[[], Any]) -> str | None:
    """The error of a call, or None."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 (what a tracker raises is the answer)
        return f"refused: {type(error).__name__}"
    return None


def tensorboard_files(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for name, series in SERIES.items():  # a run each: a step that goes back hides what other names have
        with SummaryWriter(str(folder / name)) as writer:
            for step, value in series:
                writer.add_scalar(name, value, step)
    with SummaryWriter(str(folder / "histogram")) as writer:
        moments = {"min": 0.0, "max": 4.0, "num": 2, "sum": 3.0, "sum_squares": 5.0}
        writer.add_histogram_raw("histogram", **moments, bucket_limits=EDGES[1:], bucket_counts=HEIGHTS, global_step=1)


def tensorboard(folder: Path, fast: bool) -> dict[str, str]:
    """Its page, as it is asked by the browser, with one of the two loaders."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    command += [f"--load_fast={str(fast).lower()}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ask = f"http://127.0.0.1:{port}/data/plugin"
        answer = {name: _asked(f"{ask}/scalars/scalars?run={name}&tag={name}") for name in SERIES}
        bars = _asked(f"{ask}/histograms/histograms?run=histogram&tag=histogram")
    finally:
        server.terminate()
        server.wait()
    found = {name: points((step, value) for _, step, value in rows) for name, rows in answer.items()}
    heights = ", ".join(f"{height:g}" for _, _, height in bars[0][2])
    return found | {"histogram": heights, "table": "no tables; text"}


def _asked(url: str) -> Any:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                if rows := json.loads(answer.read()):
                    return rows
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(url)
        time.sleep(0.2)


def wandb(folder: Path) -> dict[str, str]:
    """Offline: what is in the file that would be uploaded."""
    import wandb
    from wandb_file import OfflineRun

    run = wandb.init(project="behaviour", mode="offline", dir=str(folder), settings=wandb.Settings(silent=True))
    for name, series in SERIES.items():
        for step, value in series:
            run.log({name: value, f"{name}_step": step})
    run.log({"histogram": wandb.Histogram(np_histogram=(HEIGHTS, EDGES))})
    said = refused(lambda: run.log({"table": wandb.Table(columns=["a"], data=[[value] for value in COLUMN])}))
    run.finish()
    rows = OfflineRun(next(Path(folder).rglob("*.wandb")).parent).rows
    found = {name: points((row[f"{name}_step"], row[name]) for row in rows if name in row) for name in SERIES}
    (bars,) = (row["histogram"]["values"] for row in rows if "histogram" in row)
    return found | {"histogram": ", ".join(f"{height:g}" for height in bars), "table": said or "kept"}


def wandb_steps(folder: Path) -> dict[str, str]:
    """With ``step=``, as many trainers call it."""
    import wandb
    from wandb_file import OfflineRun

    found = {}
    for name in ("equal", "back"):
        here = folder / name
        here.mkdir()
        run = wandb.init(project="behaviour", mode="offline", dir=str(here), settings=wandb.Settings(silent=True))
        for step, value in SERIES[name]:
            run.log({name: value}, step=step)
        run.finish()
        rows = OfflineRun(next(here.rglob("*.wandb")).parent).rows
        found[name] = points((row["_step"], row[name]) for row in rows if name in row)
    return found


def mlflow(folder: Path) -> dict[str, str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("behaviour", artifact_location=(folder / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    for name, series in SERIES.items():
        for step, value in series:
            client.log_metric(run, name, value, step=step)
    found = {
        name: points((point.step, point.value) for point in client.get_metric_history(run, name)) for name in SERIES
    }
    said = refused(lambda: client.log_table(run, {"a": COLUMN}, "table.json"))
    return found | {"histogram": "no histograms", "table": said or "kept"}


def trackio(folder: Path) -> dict[str, str]:
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    run = trackio.init(project="behaviour", name="run")
    for name, series in SERIES.items():
        for step, value in series:
            run.log({name: value}, step=step)
    run.log({"histogram": trackio.Histogram(np_histogram=(HEIGHTS, EDGES))}, step=20)
    import pandas as pd

    said = refused(lambda: run.log({"table": trackio.Table(dataframe=pd.DataFrame({"a": COLUMN}))}, step=21))
    run.finish()
    rows = SQLiteStorage.get_logs("behaviour", "run")
    found = {name: points((row["step"], row[name]) for row in rows if name in row) for name in SERIES}
    (bars,) = (row["histogram"]["values"] for row in rows if "histogram" in row)
    return found | {"histogram": ", ".join(f"{height:g}" for height in bars), "table": said or "kept"}


def comet(folder: Path) -> dict[str, str]:
    """Offline: what is in the archive that would be uploaded."""
    import comet_ml
    from comet_ml.data_structure import Histogram

    run = comet_ml.OfflineExperiment(
        project_name="behaviour", workspace="nobody", offline_directory=str(folder), display_summary_level=0,
        log_code=False, log_env_details=False, auto_metric_logging=False, auto_output_logging=False, parse_args=False,
    )  # fmt: skip
    for name, series in SERIES.items():
        for step, value in series:
            run.log_metric(name, value, step=step)
    drawn_bars = Histogram()
    drawn_bars.add([(left + right) / 2 for left, right in itertools.pairwise(EDGES)], counts=HEIGHTS)
    run.log_histogram_3d(drawn_bars, name="histogram", step=1)
    said = refused(lambda: run.log_table("table.csv", tabular_data=[[value] for value in COLUMN], headers=["a"]))
    run.end()
    (archive,) = folder.glob("*.zip")
    found: dict[str, list[Any]] = {name: [] for name in SERIES}
    bars = "no"
    with zipfile.ZipFile(archive) as opened:
        for message in map(json.loads, opened.read("messages.json").decode().splitlines()):
            metric = message["payload"].get("metric") or {}
            if metric.get("metricName") in found:
                found[metric["metricName"]].append((metric["step"], metric["metricValue"]))
            if "histogram" in json.dumps(message["payload"].get("additional_params") or {}):
                drawn = json.loads(opened.read(message["payload"]["file_path"]))
                heights = ", ".join(f"{height:g}" for _, height in drawn["index_values"])
                bars = f"{heights}, in bins of {100 * drawn['step'] - 100:.0f}% of the value"
    return {name: points(rows) for name, rows in found.items()} | {"histogram": bars, "table": said or "kept"}


@contextmanager
def alone() -> Iterator[Path]:
    """A folder in which trackers put everything, and nothing is asked over a network."""
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= {
            "TRACKIO_DIR": folder,
            "COMET_LOGGING_CONSOLE": "CRITICAL",
            "WANDB_SILENT": "true",
            "HF_HUB_OFFLINE": "1",
        }
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(kept)


def measure() -> dict[str, dict[str, str]]:
    """What each tracker answers to each question."""
    with alone() as folder, redirect_stdout(io.StringIO()):
        places = {name: folder / name for name in ("tensorboard", "wandb", "steps", "mlflow", "trackio", "comet")}
        for place in places.values():
            place.mkdir()
        tensorboard_files(places["tensorboard"])
        return {
            f"TensorBoard {version('tensorboard')}, fast loader": tensorboard(places["tensorboard"], True),
            f"TensorBoard {version('tensorboard')}, `--load_fast=false`": tensorboard(places["tensorboard"], False),
            f"W&B {version('wandb')}, `log(values)`": wandb(places["wandb"]),
            f"W&B {version('wandb')}, `log(values, step=step)`": wandb_steps(places["steps"]),
            f"MLflow {version('mlflow-skinny')}": mlflow(places["mlflow"]),
            f"Trackio {version('trackio')}": trackio(places["trackio"]),
            f"Comet {version('comet_ml')}": comet(places["comet"]),
        }


def table(found: dict[str, dict[str, str]]) -> str:
    """Markdown, with a row for each tracker and a column for each question."""
    lines = [f"| | {' | '.join(QUESTIONS.values())} |", f"|{'---|' * (1 + len(QUESTIONS))}"]
    lines += [
        f"| {name} | {' | '.join(row.get(question, '') for question in QUESTIONS)} |" for name, row in found.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
