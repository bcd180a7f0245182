"""The findings: their form, and the page that lists them. What they show is run by `make findings`."""

import os
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "findings"


def test_index_lists_the_scripts_as_they_are():
    """findings/README.md is what findings/index.py writes."""
    page = runpy.run_path(str(FOLDER / "index.py"))["text"]()
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page, "run: python findings/index.py"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.stem)
def test_scripts_have_the_form(script: Path):
    """A script can be run, says in its first line what happens, and names versions, behaviour and what was seen."""
    lines = script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert lines[1].endswith(".")
    for start in ("# Versions: ", "# Behaviour: ", "# Seen: ", "set -euo pipefail", "trap 'rm -rf \"$folder\"' EXIT"):
        assert any(line.startswith(start) for line in lines), start
