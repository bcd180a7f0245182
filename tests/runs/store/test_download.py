from __future__ import annotations

from pathlib import Path

import pytest
from object_stores import MEMORY, train

from loss_logging.errors import LossLoggingError
from loss_logging.runs.locate import find_report
from loss_logging.runs.store.manifest import manifest_name
from loss_logging.support.object_store import ObjectStore

pytestmark = pytest.mark.usefixtures("empty_store")


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs from the manifest is not believed, after another look."""
    monkeypatch.setattr("loss_logging.runs.store.download._PAUSE_SECONDS", 0.01)
    train(MEMORY, tmp_path / "spool", 1)
    ObjectStore(MEMORY).write("loss_logging/cats_000000001.json", b"{}")
    with pytest.raises(LossLoggingError, match=r"cats_000000001\.json differs from the manifest"):
        find_report(MEMORY)
    ObjectStore(MEMORY).write(manifest_name("cats"), b"{")
    with pytest.raises(LossLoggingError, match="is no manifest that this version can read"):
        find_report(MEMORY)
