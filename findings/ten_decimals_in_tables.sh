#!/usr/bin/env bash
# Dataset.to_json and mlflow.log_table write ten decimals: a loss of 1e-12 becomes 0.0.
#
# Versions: datasets 5.2.0, mlflow-skinny 3.17.2, pandas 3.1.1; Python 3.11
# Behaviour: both hand the table to pandas, whose to_json cuts floats after ten decimals unless told otherwise. Neither
#   says so. Dataset.to_csv of the same rows keeps every digit, and so does Dataset.to_parquet.
# Seen: "to_json [0.0, 0.123456789]", "to_csv [1e-12, 0.123456789012345]", "log_table [0.0, 0.123456789]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 mlflow-skinny==3.17.2 pandas==3.1.1 sqlalchemy==2.1.9 alembic==1.20.1
cat > "$folder/run.py" <<'PY'
import json, logging, os, pathlib, sys
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.chdir(sys.argv[1])
import datasets, mlflow

datasets.disable_progress_bars()
logging.disable(logging.WARNING)
LOSSES = [1e-12, 0.123456789012345]
rows = datasets.Dataset.from_dict({"loss": LOSSES})
rows.to_json("rows.jsonl")
as_json = [json.loads(line)["loss"] for line in open("rows.jsonl")]
rows.to_csv("rows.csv")
as_csv = [float(line) for line in open("rows.csv").read().split()[1:]]
mlflow.set_tracking_uri("sqlite:///runs.db")
with mlflow.start_run() as run:
    mlflow.log_table({"loss": LOSSES}, "losses.json")
path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="losses.json")
logged = [row[0] for row in json.loads(pathlib.Path(path).read_text())["data"]]
print("to_json", as_json)
print("to_csv", as_csv)
print("log_table", logged)
assert as_csv == LOSSES and as_json[0] == logged[0] == 0.0 and as_json[1] == logged[1] != LOSSES[1]
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
