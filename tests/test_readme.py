"""The README and the pages in docs/ are true: their Python blocks run, and the README's configuration is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loss_logging import TrainConfig
from loss_logging.evaluate_config import EvaluateConfig

ROOT = Path(__file__).parents[1]
BLOCKS = [
    (page.name, *block)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for block in re.findall(r"```(\w+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
]


@pytest.mark.parametrize(
    "code", [pytest.param(code, id=page) for page, language, code in BLOCKS if language == "python"]
)
def test_python_block_runs(code: str, tmp_path: Path) -> None:
    """Each Python block runs as it stands, in an empty folder, without a warning, and prints what it says."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    promised = re.findall(r"^print.*?# (.*)$", code, re.MULTILINE)
    assert [printed in promise for printed, promise in zip(done.stdout.splitlines(), promised, strict=False)].count(
        True
    ) == len(promised)


def test_configuration_is_valid(tmp_path: Path) -> None:
    """The README's YAML is a configuration that TrainConfig takes."""
    (text,) = (code for page, language, code in BLOCKS if language == "yaml" and page == "README.md")
    file = tmp_path / "train.yaml"
    file.write_text(text, "utf-8")
    assert TrainConfig.from_file(file).captions.max_words == 55


def test_evaluation_is_valid() -> None:
    """The YAML of docs/evaluate.md is a configuration that `loss-logging evaluate` takes."""
    (text,) = (code for page, language, code in BLOCKS if language == "yaml" and page == "evaluate.md")
    assert EvaluateConfig.from_dict(yaml.safe_load(text)).draws == 16
