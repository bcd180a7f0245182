"""docs/command_line.md is true: it has every command, and its blocks run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from loss_logging import TrainConfig

TEXT = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text("utf-8")
CALLS = [line.strip() for line in TEXT.splitlines() if line.startswith("    loss-logging ") and "--help" not in line]


def test_every_command_is_there() -> None:
    """The page has an example of each command that is described in it."""
    assert {shlex.split(call)[1] for call in CALLS} >= {"show", "compare", "export", "push", "demo"}


def test_blocks(tmp_path: Path) -> None:
    """The YAML is a configuration, and the function that it names is the one in the Python block."""
    (config,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "train.yaml").write_text(config, "utf-8")
    (tmp_path / "my_data.py").write_text(code, "utf-8")
    name = TrainConfig.from_file(tmp_path / "train.yaml").pictures.load
    check = f"from loss_logging.trackers.pictures import load_image_function as f; print(f({name!r})('1', 'd').shape)"
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "(64, 64, 3)\n", done.stderr
