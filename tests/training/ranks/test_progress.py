from __future__ import annotations

from pathlib import Path

from loss_logging.records.log import FOREVER
from loss_logging.training.ranks.progress import Progress, read_progress, remove_progress, write_progress


def test_each_rank_says_how_far_it_is(tmp_path: Path) -> None:
    """The last word counts; a new run begins with none of them, and nothing else is removed."""
    assert read_progress(tmp_path, 1) is None
    for progress in (Progress("run", 3), Progress("run", FOREVER, ["a note"])):
        write_progress(tmp_path, 1, progress)
        assert read_progress(tmp_path, 1) == progress
    write_progress(tmp_path, 12, Progress("run", 5))
    (tmp_path / "rank00001-0.parquet").write_bytes(b"")
    remove_progress(tmp_path)
    assert [read_progress(tmp_path, rank) for rank in (1, 12)] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ["rank00001-0.parquet"]
