from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from warm import PYTEST, WarmPython

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Run: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def _pytest() -> Iterator[WarmPython]:
    # Not loss_logging, which pytest rewrites where it is installed, and warns of where it is imported already.
    imports = ("pytest", "duckdb", "numpy", "pandas", "pyarrow.parquet")
    python = WarmPython(*imports, path=f"{ROOT}{os.pathsep}{HERE}")
    yield python
    python.stop()


@pytest.fixture
def run(_pytest: WarmPython) -> Run:
    """Exit status and output of pytest in a folder with a failing test of its own, which is not to be run."""

    def run(cwd: Path, *options: str) -> tuple[int, str]:
        (cwd / "test_other.py").write_text("def test_other():\n    assert False\n")
        done = _pytest.run(PYTEST, cwd, "-p", "loss_logging.testing.plugin", "-p", "no:cacheprovider", *options)
        return done.returncode, done.stdout + done.stderr

    return run
