#!/usr/bin/env bash
# In chDB the mean of losses weighted by a whole number is 0: avgWeighted cuts each loss to a whole number first.
#
# Versions: chdb 4.4.0, chdb-core 26.9.0; Python 3.11
# Behaviour: the mean loss of data sets of several sizes, avgWeighted(loss, images). ClickHouse's manual lists whole numbers and
#   floats for both arguments, and a Float64 as the result. With whole weights of any kind, a loss of 0.9 counts as 0 and one of
#   2.5 as 2; with weights that are floats nothing is cut. The type of the result is Float64 both times, and nothing is said.
# Seen: "UInt8 0.0", "Int64 0.0", "Float64 0.7", "sum(loss * images) / sum(images) 0.7"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chdb==4.4.0 chdb-core==26.9.0
cat > "$folder/run.py" <<'PY'
import chdb


def number(what, kind, losses=(0.9, 0.5)):
    rows = f"values('loss Float32, images {kind}', ({losses[0]}, 100), ({losses[1]}, 100))"
    value, type_of_it = chdb.query(f"SELECT {what} AS x, toTypeName(x) FROM {rows}", "TSV").data().split()
    assert type_of_it == "Float64"
    return round(float(value), 6)


MEAN, OTHER = "avgWeighted(loss, images)", "sum(loss * images) / sum(images)"
for kind in ("UInt8", "Int64", "Float64"):
    print(kind, number(MEAN, kind))
print(OTHER, number(OTHER, "Int64"))
assert number(MEAN, "Float32") == number(MEAN, "Float64") == number(OTHER, "Int64") == 0.7
assert number(MEAN, "UInt8") == number(MEAN, "UInt64") == number(MEAN, "Int32") == number(MEAN, "Int64") == 0
assert number(MEAN, "Int64", losses=(2.5, 3.9)) == 2.5 and number(MEAN, "Float64", losses=(2.5, 3.9)) == 3.2
PY
"$folder/venv/bin/python" "$folder/run.py"
