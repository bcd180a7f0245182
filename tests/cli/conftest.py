from __future__ import annotations

from pathlib import Path

import pytest
from checked_folders import bad_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good and bad captions, a table, and files that cannot be read."""
    return bad_folder(tmp_path)
