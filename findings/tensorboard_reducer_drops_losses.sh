#!/usr/bin/env bash
# tensorboard-reducer keeps 10,000 losses of each run, drawn at random, and then takes runs of 40,000 and 15,000 steps for equally long.
#
# Versions: tensorboard-reducer 0.4.0, tensorboard 2.21.0; Python 3.11
# Behaviour: load_tb_events, and so the command, reads runs through a reservoir of 10,000 events a tag: means, minima, CSV files and
#   event files of longer runs lack the rest, the largest loss among them, and nothing says so. README names no limit, its docstring
#   "the last 10,000". strict_steps=True is to raise where runs differ in their number of steps; from 10,000 on it cannot see
#   that, and keeps the steps that two random samples share.
# Seen: "two runs of 40,000 steps: 10000 read, the largest loss 1.0 (true: 100.0)", "40,000 and 15,000 steps, strict: 3766 read, without
#   an error", "9,000 and 8,000: ValueError: Unequal number of steps [9000, 8000]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboard-reducer==0.4.0 tensorboard==2.21.0
cat > "$folder/run.py" <<'PY'
import sys

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard_reducer import load_tb_events, reduce_events


def run(name, steps):
    """The folder of a run whose losses are 1, and 100 at step 1,001."""
    writer = EventFileWriter(f"{sys.argv[1]}/{name}")
    for step in range(steps):
        loss = Summary.Value(tag="loss", simple_value=100.0 if step == 1001 else 1.0)
        writer.add_event(Event(wall_time=1e9 + step, step=step, summary=Summary(value=[loss])))
    writer.close()
    return f"{sys.argv[1]}/{name}"


first, second, short = run("first", 40_000), run("second", 40_000), run("short", 15_000)
events = load_tb_events([first, second])
highest = reduce_events(events, ["max"])["max"]["loss"]
print(f"two runs of 40,000 steps: {len(highest)} read, the largest loss {highest.max()} (true: 100.0)")
assert len(highest) == 10_000 and highest.max() == 1
mixed = load_tb_events([first, short], strict_steps=True)["loss"]
print(f"40,000 and 15,000 steps, strict: {len(mixed)} read, without an error")
assert 3_000 < len(mixed) < 5_000 and (mixed.index < 15_000).all()
try:
    load_tb_events([run("9", 9_000), run("8", 8_000)], strict_steps=True)
    raise AssertionError("no error")
except ValueError as error:
    print(f"9,000 and 8,000: ValueError: {str(error)[:41]}")
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
