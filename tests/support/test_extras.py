"""loss_logging/support/extras.py"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loss_logging.support import extras

ROOT = Path(__file__).parents[2]


def test_a_checkout_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has installed the package, the command installs the checkout that runs."""

    def not_installed(name: str) -> None:
        raise extras.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", not_installed)
    assert extras.install_command("loss-logging[wandb]") == f'pip install -e "{ROOT}[wandb]"'


def test_a_folder_of_the_name_is_no_package(tmp_path: Path) -> None:
    """The folder "wandb" that offline runs leave behind is not taken for the package."""
    (tmp_path / "wandb_of_nobody").mkdir()
    code = "from loss_logging.support.extras import is_installed; print(is_installed('wandb_of_nobody'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
