#!/usr/bin/env bash
# A forked child that ends releases the file lock that its parent still holds.
#
# Versions: filelock 3.29.0 (releases it), filelock 3.30.0 (keeps it); Python 3.11, Linux
# Behaviour: the parent holds a FileLock and forks; the child does nothing and ends, with its interpreter's usual
#   clean-up. With 3.29.0 a second process gets the lock right afterwards, although the parent has not released it and
#   says that it holds it: the child's copy of the object is finalised, and flock's lock belongs to the open file that
#   both share. Two processes then write what one lock was to protect. Any data loader with forked workers is such a child.
# Seen: "3.29.0: parent says True, another process gets it: True" and "3.30.0: ... False"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/fork.py" <<'PY'
import importlib.metadata, os, subprocess, sys
from filelock import FileLock

lock = FileLock(sys.argv[1])
lock.acquire()
if os.fork() == 0:
    sys.exit(0)
os.wait()
ask = "import sys; from filelock import FileLock, Timeout\ntry: FileLock(sys.argv[1]).acquire(timeout=0)\nexcept Timeout: sys.exit(1)"
got = subprocess.run([sys.executable, "-c", ask, sys.argv[1]]).returncode == 0
print(f"{importlib.metadata.version('filelock')}: parent says {lock.is_locked}, another process gets it: {got}")
PY
seen=""
for version in 3.29.0 3.30.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "filelock==$version"
    seen+=$("$folder/$version/bin/python" "$folder/fork.py" "$folder/$version.lock")$'\n'
done
printf '%s' "$seen"
[[ $seen == *"3.29.0: parent says True, another process gets it: True"* ]]
[[ $seen == *"3.30.0: parent says True, another process gets it: False"* ]]
