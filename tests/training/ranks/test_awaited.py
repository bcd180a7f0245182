from __future__ import annotations

from pathlib import Path

import pytest
from helpers import record

from loss_logging.records.columns import table_from_records
from loss_logging.records.log import FOREVER, RecordLog
from loss_logging.training.ranks.awaited import AwaitedRanks
from loss_logging.training.ranks.progress import Progress, write_progress


@pytest.fixture
def log(tmp_path: Path) -> RecordLog:
    return RecordLog(tmp_path)


def test_who_has_everything_on_disk_is_not_waited_for(log: RecordLog) -> None:
    """What all ranks have is what the slowest has, and never the step that rank 0 is in."""
    ranks = AwaitedRanks(log, "run", 3, timeout=0)
    write_progress(log.folder, 1, Progress("run", 7))
    write_progress(log.folder, 2, Progress("run", FOREVER, ["its disk is full"]))
    assert (ranks.complete(20), ranks.complete(5)) == (7, 4)
    assert ranks.wait(7) == []
    assert ranks.notes() == ["rank 2: its disk is full"]


def test_a_missing_rank_is_named_and_given_up(log: RecordLog) -> None:
    """It says how far its records are; from then on it holds up nobody, until it is there again."""
    ranks = AwaitedRanks(log, "run", 3, timeout=0)
    write_progress(log.folder, 1, Progress("run", 7))
    write_progress(log.folder, 2, Progress("another run", 99))
    assert ranks.wait(9) == [
        "rank 1 did not arrive: its records after step 7 are missing",
        "rank 2 did not arrive: none of its records are included",
    ]
    assert ranks.complete(20) == 19
    write_progress(log.folder, 1, Progress("run", 20))
    assert len(ranks.wait(20)) == 1
    assert ranks.complete(30) == 20


def test_shards_tell_more_than_the_last_word(log: RecordLog) -> None:
    """All steps before the last one in a shard are complete, whatever the rank has said so far."""
    write_progress(log.folder, 1, Progress("run", 2))
    RecordLog(log.folder, rank=1).write(table_from_records([record(step=s) for s in (3, 4, 5)]).to_batches())
    assert AwaitedRanks(log, "run", 2, timeout=0).complete(20) == 4
