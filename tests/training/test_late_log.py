from __future__ import annotations

from pathlib import Path

import pytest
from helpers import record

from loss_logging.errors import LossLoggingError
from loss_logging.records.columns import table_from_records
from loss_logging.records.log import RecordLog
from loss_logging.training.late_log import LateLog


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), LossLoggingError("somebody else writes")])
def test_records_wait_until_the_run_can_be_opened(error: Exception, tmp_path: Path) -> None:
    """What opening raises is an OSError to who writes, who tries again; once open, it is not opened again."""
    opened: list[int] = []

    def open_run() -> None:
        opened.append(len(opened))
        if len(opened) < 3:
            raise error

    log = RecordLog(tmp_path)
    late = LateLog(log, open_run)
    batches = table_from_records([record(step=1)]).to_batches()
    for _ in range(2):
        with pytest.raises(OSError, match=r"No space|somebody else"):
            late.write(batches)
    assert log.files() == []
    late.write(batches)
    late.write(batches)
    assert len(opened) == 3
    assert log.read()["step"].to_pylist() == [1, 1]
