#!/usr/bin/env bash
# A loss of -0.0 is not equal to 0 in Vortex and Daft, and a polars filter changes its answer with the file it reads.
#
# Versions: vortex-data 0.93.0, daft 0.7.26, polars 2.1.0; Python 3.11
# Behaviour: -0.0 is what a rounded or negated loss of 0 looks like. "x == 0" finds two rows of (-0.0, 0.0, 1.0) in polars
#   and by IEEE 754. Daft finds one. A Vortex file finds one, and holds that -0.0 < 0. A polars filter over such a file is
#   handed down to it: the same expression finds two rows in memory and one in the file.
# Seen: "daft == 0: 1", "vortex == 0: 1, < 0: 1", "polars in memory == 0: 2, over vortex == 0: 1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vortex-data==0.93.0 daft==0.7.26 polars==2.1.0
cat > "$folder/run.py" <<'PY'
import sys
import daft, polars, pyarrow, vortex

table = pyarrow.table({"x": [-0.0, 0.0, 1.0]})
with_daft = daft.from_arrow(table).where(daft.col("x") == 0.0).count_rows()
vortex.io.write(table, sys.argv[1] + "/losses.vortex")
file = vortex.open(sys.argv[1] + "/losses.vortex")
column = vortex.expr.column("x")
equal, below = (len(file.scan(expr=rule).read_all()) for rule in (column == 0.0, column < 0.0))
rule = polars.col("x") == 0.0
in_memory = polars.from_arrow(table).filter(rule).height
over_file = file.to_polars().filter(rule).collect().height
print(f"daft == 0: {with_daft}")
print(f"vortex == 0: {equal}, < 0: {below}")
print(f"polars in memory == 0: {in_memory}, over vortex == 0: {over_file}")
assert (with_daft, equal, below, in_memory, over_file) == (1, 1, 1, 2, 1)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
