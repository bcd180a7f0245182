#!/usr/bin/env bash
# Trackio keeps the projects "sd1.5" and "sd15" in one database: their runs are one project's.
#
# Versions: trackio 0.43.0; Python 3.11
# Behaviour: a project's file is named by its letters, digits, "-" and "_"; all else is left out, so that "v1.10" is "v110"
#   and "lora a" is "loraa". Two projects whose names differ in dots or spaces alone write into one file, and each
#   has the other's runs. One would expect two projects, or an error. Nothing warns.
# Seen: "files: ['sd15.db']", "runs: ['base', 'other']"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trackio==0.43.0
cat > "$folder/run.py" <<'PY'
import os, pathlib, sqlite3, sys
os.environ.update(TRACKIO_DIR=sys.argv[1] + "/trackio", HF_HUB_OFFLINE="1")
import trackio

for project, run in (("sd1.5", "base"), ("sd15", "other")):
    trackio.init(project=project, name=run, embed=False)
    trackio.log({"loss": 0.5})
    trackio.finish()
files = sorted(path.name for path in pathlib.Path(sys.argv[1], "trackio").glob("*.db"))
with sqlite3.connect(pathlib.Path(sys.argv[1], "trackio", files[0])) as database:
    runs = sorted({name for (name,) in database.execute("SELECT run_name FROM metrics")})
print("files:", files)
print("runs:", runs)
assert files == ["sd15.db"] and runs == ["base", "other"]
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
