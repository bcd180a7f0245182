"""docs/evaluate.md and examples/evaluate_pipeline.py are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from loss_logging.evaluate_config import EvaluateConfig

PAGE = Path(__file__).parents[1] / "docs" / "evaluate.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_compute_function_runs(tmp_path: Path) -> None:
    """The complete compute function runs as it stands, and prints what the page says."""
    (code,) = (code for language, code in BLOCKS if language == "python" and "def compute" in code)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == re.findall(r"^print.*# (\d+)$", code, re.MULTILINE)


def test_configuration_is_valid() -> None:
    """The YAML of the page is a configuration."""
    (text,) = (code for language, code in BLOCKS if language == "yaml")
    assert EvaluateConfig.from_dict(yaml.safe_load(text)).draws == 16
