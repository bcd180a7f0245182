#!/usr/bin/env bash
# pandas.read_json takes a number of 2 to the 64 modulo 2 to the 64: another id comes out, without a word.
#
# Versions: pandas 3.1.1, polars 2.1.0; Python 3.11
# Behaviour: hashes of pictures are numbers of 64 bits and more. Of 123456789012345678901 pandas makes
#   12776324570088369205, an unsigned integer that is some other picture's id. 2 to the 64 itself is an error ("Value is
#   too big"), so one would expect it of all that lie above. polars has a type of 128 bits and keeps the number.
# Seen: "pandas 12776324570088369205", "2**64: ValueError", "polars 123456789012345678901"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 polars==2.1.0
cat > "$folder/run.py" <<'PY'
import io
import pandas, polars

ID = 123456789012345678901
line = f'{{"id": {ID}}}\n'
wrapped = int(pandas.read_json(io.StringIO(line), lines=True)["id"][0])
print("pandas", wrapped)
try:
    limit = pandas.read_json(io.StringIO(f'{{"id": {2**64}}}\n'), lines=True)["id"][0]
except ValueError as error:
    limit = type(error).__name__
print("2**64:", limit)
kept = polars.read_ndjson(io.StringIO(line))["id"][0]
print("polars", kept)
assert wrapped == ID % 2**64 and limit == "ValueError" and kept == ID
PY
"$folder/venv/bin/python" "$folder/run.py"
