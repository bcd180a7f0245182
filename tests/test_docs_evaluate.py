"""docs/evaluate.md is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from loss_logging.evaluate_config import EvaluateConfig

PAGE = Path(__file__).parents[1] / "docs" / "evaluate.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_compute_function_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The complete compute function runs as it stands, and prints what the page says."""
    (code,) = (code for language, code in BLOCKS if language == "python" and "def compute" in code)
    exec(compile(code, PAGE.name, "exec"), {})
    assert capsys.readouterr().out.split() == re.findall(r"^print.*# (\d+)$", code, re.MULTILINE)


def test_configuration_is_valid() -> None:
    """The YAML of the page is a configuration."""
    (text,) = (code for language, code in BLOCKS if language == "yaml")
    assert EvaluateConfig.from_dict(yaml.safe_load(text)).draws == 16
