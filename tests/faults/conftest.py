"""What the fault tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import figures, finish, log_of, train
from training_run import LAST

DISK_MEGABYTES = 3


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last report of a run that nothing has happened to; its log was compacted meanwhile."""
    root = tmp_path_factory.mktemp("unbroken")
    finish(train(root))
    assert any(path.name[10:19] != path.name[20:29] for path in log_of(root).files())
    return figures(root, LAST)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; mounting it needs root."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", tmp_path]
    mount = subprocess.run(command, capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield tmp_path
    while tmp_path.is_mount():  # a test that failed may have left one on top
        subprocess.run(["umount", "-l", tmp_path], check=True)
