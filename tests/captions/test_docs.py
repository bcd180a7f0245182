from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.names import RULE_NAMES

DOCS = (Path(__file__).parents[2] / "docs" / "captions.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("code", [code for language, code in BLOCKS if language == "python"])
def test_python_blocks_run(code: str) -> None:
    """Each prints what its comments say."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"^print.*?  # (.*)$", code, re.MULTILINE)


def test_the_configuration_is_one() -> None:
    """The YAML is a CaptionConfig."""
    (text,) = (code for language, code in BLOCKS if language == "yaml")
    assert msgspec.convert(yaml.safe_load(text)["captions"], CaptionConfig).trigger("me") == "ohwx man"


def test_every_rule_is_in_the_table() -> None:
    """And no other."""
    assert sorted(re.findall(r"^\| `(\w+)` \|", DOCS, re.MULTILINE)) == sorted(RULE_NAMES)
