"""loss_logging/support/extras.py"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from loss_logging.support import extras

ROOT = Path(__file__).parents[2]


def test_a_checkout_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has installed the package, the command installs the checkout that runs."""
    monkeypatch.setattr("importlib.metadata.distributions", lambda name: [])
    assert extras.install_command("loss-logging[wandb]") == f'pip install -e "{ROOT}[wandb]"'


def test_a_folder_of_the_name_is_no_package(tmp_path: Path) -> None:
    """The folder "wandb" that offline runs leave behind is not taken for the package."""
    (tmp_path / "wandb_of_nobody").mkdir()
    code = "from loss_logging.support.extras import is_installed; print(is_installed('wandb_of_nobody'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class Installed:
    """An installation, with a note of where it came from, or without one."""

    def __init__(self, note: str | None = None) -> None:
        self._note = note

    def read_text(self, _file: str) -> str | None:
        return self._note


def test_what_building_leaves_behind_hides_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """The egg-info in a checkout is found before what pip has installed, and holds no note."""
    note = json.dumps({"url": "file:///home/me/there", "dir_info": {"editable": True}})
    monkeypatch.setattr("importlib.metadata.distributions", lambda name: [Installed(), Installed(note)])
    assert extras.install_command("loss-logging[wandb]") == 'pip install -e "/home/me/there[wandb]"'


SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


@pytest.mark.parametrize("extra", sorted(set(SETUP["options.extras_require"]) - {"cli"}))
def test_no_hint_names_us_on_an_index(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody noted what was installed, a hint names the extra's packages: ours may be anybody's."""
    monkeypatch.setattr("importlib.metadata.distributions", lambda name: [Installed()])
    command = extras.install_command(f"loss-logging[{extra}]")
    program, action, *packages = shlex.split(command)
    assert (program, action) == ("pip", "install")
    assert packages
    for package in packages:
        named = Requirement(package)
        assert canonicalize_name(named.name) != "loss-logging"
        assert named.marker is None or "extra" not in str(named.marker)


def test_no_text_installs_us_from_an_index() -> None:
    """No message, page or example says `pip install loss-logging`, and no package has us fetched."""
    folders = ("loss_logging", "integrations", "docs", "examples", "README.md", "CONTRIBUTING.md")
    files = [file for name in folders for file in [ROOT / name, *(ROOT / name).rglob("*")] if file.is_file()]
    for file in files:
        if file.suffix in {".py", ".md", ".toml", ".html", ".js", ".yaml"}:
            text = file.read_text("utf-8")
            assert not re.search(r"(?:pip|uv|pipx)[\w ]* install [^\n]*[\"' ]loss[-_]logging(?![-_/\w])(?! @)", text), (
                file
            )
            assert not re.search(r"dependencies = \[[^\]]*[\"']loss[-_]logging[\"'\[<>=~!]", text), file
