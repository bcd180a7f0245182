#!/usr/bin/env bash
# ClearML stores NaN and infinite losses as 0: a run that has diverged has the best loss of all.
#
# Versions: clearml 2.1.12; Python 3.11
# Behaviour: report_scalar replaces them. One line of the log, at INFO, says so for the first NaN and the first infinite value of a
#   process, and names Logger.set_reporting_nan_value and set_reporting_inf_value; plots, and tables of runs sorted by their least loss,
#   show 0 as if it were a loss. The setting takes any number, and none that is kept as missing. Comet and Trackio keep NaN.
# Seen: "reported: [2.0, 1.5, nan, inf, -inf]", "stored: [2.0, 1.5, 0.0, 0.0, 0.0]", "with set_reporting_nan_value(-1): nan -> -1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check clearml==2.1.12
cat > "$folder/run.py" <<'PY'
import json
from pathlib import Path

from clearml import Logger, Task

Task.set_offline(offline_mode=True)
task = Task.init("project", "run", auto_connect_frameworks=False, auto_resource_monitoring=False)
losses = [2.0, 1.5, float("nan"), float("inf"), -float("inf")]
for step, loss in enumerate(losses):
    task.get_logger().report_scalar("loss", "train", loss, step)
task.flush(wait_for_uploads=True)
Logger.set_reporting_nan_value(-1)
task.get_logger().report_scalar("loss", "train", float("nan"), len(losses))
folder = Path(task.get_offline_mode_folder())
task.close()
events = [event for line in (folder / "metrics.jsonl").read_text().splitlines() for event in json.loads(line)]
stored = {event["iter"]: event["value"] for event in events if event.get("metric") == "loss"}
print("reported:", losses)
print("stored:", [stored[step] for step in range(len(losses))])
print("with set_reporting_nan_value(-1): nan ->", stored[len(losses)])
assert [stored[step] for step in range(len(losses))] == [2, 1.5, 0, 0, 0]
assert stored[len(losses)] == -1
PY
cd "$folder"
CLEARML_CACHE_DIR="$folder/cache" "$folder/venv/bin/python" "$folder/run.py"
