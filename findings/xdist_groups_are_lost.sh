#!/usr/bin/env bash
# "--dist loadgroup" of pytest-xdist groups nothing with pytest 9.2, and says nothing.
#
# Versions: pytest 9.2.0 and pytest 9.1.1, each with pytest-xdist 3.8.0; Python 3.11
# Behaviour: tests of one @pytest.mark.xdist_group are promised to run on one worker. The worker tells the controller a
#   test's group by appending "@GROUP" to its node's private _nodeid; pytest 9.2.0 reads nodeid from elsewhere, so the
#   controller sees no group and spreads the tests. What they share (a file, a port, a fixture that takes minutes) is made
#   on every worker. With pytest 9.1.1 all of them run on one.
# Seen: "9.2.0: 2 workers", "9.1.1: 1 worker"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/test_groups.py" <<'PY'
import os, pathlib, time
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("i", range(20))
def test(i):
    time.sleep(0.05)
    (pathlib.Path(os.environ["SEEN"]) / os.environ["PYTEST_XDIST_WORKER"]).touch()
PY
for version in 9.2.0 9.1.1; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "pytest==$version" pytest-xdist==3.8.0
    mkdir "$folder/seen-$version"
    SEEN="$folder/seen-$version" "$folder/$version/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup "$folder/test_groups.py" > "$folder/out" || { cat "$folder/out"; exit 1; }
    echo "$version: $(find "$folder/seen-$version" -type f | wc -l) worker(s) ran the group"
done
[ "$(find "$folder/seen-9.2.0" -type f | wc -l)" -eq 2 ]
[ "$(find "$folder/seen-9.1.1" -type f | wc -l)" -eq 1 ]
