#!/usr/bin/env bash
# PyIceberg's delete("loss < 1") deletes all NaN losses too of a file whose other losses are below 1; scan with the same filter does not.
#
# Versions: pyiceberg 0.12.0, pyarrow 25.0.1; Python 3.11
# Behaviour: the smallest and largest loss of a file, which know no NaN, decide that each row of it matches, and the file goes. PyIceberg
#   writes no counts of NaN, by which the format's rules would see them. scan(...) of the same filter gives the rows without NaN,
#   so that one does not see what will go; overwrite(overwrite_filter=...) deletes by the same rule. In a file whose other losses
#   are all equal "loss is nan" finds none, and "loss != 7" neither.
# Seen: "loss < 1: scan finds 997 rows, 0 NaN; delete removes 1000, 3 NaN", "overwrite: 3 NaN are gone", "a file of 7 and nine NaN:
#   loss is nan finds 0, loss != 7 finds 0"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pyiceberg[sql-sqlite]==0.12.0" pyarrow==25.0.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

random, folder = np.random.default_rng(0), sys.argv[1]
low, high = random.uniform(0.1, 0.9, 1000), random.uniform(1.1, 3, 1000)
low[[3, 50, 700]] = high[[3, 50, 700]] = np.nan
catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}")
catalog.create_namespace("n")


def table(name, *files):
    made = catalog.create_table(f"n.{name}", schema=pa.schema([("loss", pa.float64())]))
    for losses in files:
        made.append(pa.table({"loss": losses}))
    return made


def losses(of, **options):
    return of.scan(**options).to_arrow()["loss"].to_numpy()


for name, wanted in (("below", "loss < 1"), ("above", "loss > 1")):
    run = table(name, low, high)
    before, scanned = losses(run), losses(run, row_filter=wanted)
    run.delete(wanted)
    removed, gone = len(before) - len(losses(run)), 6 - np.isnan(losses(run)).sum()
    print(f"{wanted}: scan finds {len(scanned)} rows, {np.isnan(scanned).sum()} NaN; delete removes {removed}, {gone} NaN")
    assert np.isnan(before).sum() == 6 and len(scanned) == 997 and not np.isnan(scanned).any()
    assert (removed, gone) == (1000, 3)
run = table("overwritten", low, high)
run.overwrite(pa.table({"loss": [0.5]}), overwrite_filter="loss < 1")
print(f"overwrite: {6 - np.isnan(losses(run)).sum()} NaN are gone")
assert np.isnan(losses(run)).sum() == 3
run = table("sevens", np.array([7.0] + [np.nan] * 9))
found = [len(losses(run, row_filter=wanted)) for wanted in ("loss is nan", "loss != 7")]
print(f"a file of 7 and nine NaN: loss is nan finds {found[0]}, loss != 7 finds {found[1]}")
assert found == [0, 0] and np.isnan(losses(run)).sum() == 9
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
