from __future__ import annotations

from pathlib import Path

from configs import build
from shown import report

from loss_logging.trackers.memory import MemoryBackend
from loss_logging.trackers.noted import NotedBackend, Row


class Slow(MemoryBackend):
    """A tracker that has not everything at once."""

    name = "slow"
    waiting: tuple[int, ...] = ()

    def unsettled(self) -> list[int]:
        return list(self.waiting)


def test_what_has_arrived_is_noted_and_not_written_again(tmp_path: Path) -> None:
    """Another process that has the ledger writes only what is missing."""
    config = build(save_root=tmp_path)
    rows = [Row(50, {"loss": 0.5}), Row(250, report(step=250)), Row(300, {"loss": 0.4})]
    first = NotedBackend(MemoryBackend(), config)
    assert [first.write(row) for row in rows[:2]] == [True, True]
    assert first.settle() == rows[:2]
    assert first.settle() == []
    assert first.close() == []
    backend = MemoryBackend()
    second = NotedBackend(backend, config, lambda backend, ledger: None)
    assert [second.write(row) for row in rows] == [False, False, True]
    assert (backend.scalars, backend.reports) == ([(300, {"loss": 0.4})], [])


def test_what_is_on_its_way_is_not_noted(tmp_path: Path) -> None:
    """Until the tracker has it, or is closed, which brings the rest."""
    backend = Slow()
    noted = NotedBackend(backend, build(save_root=tmp_path))
    rows = [Row(step, {"loss": float(step)}) for step in (1, 2, 3)]
    for row in rows:
        noted.write(row)
    backend.waiting = (1, 2)
    assert noted.needs_attention
    assert noted.settle() == rows[:1]
    assert noted.close() == rows[1:]
    assert backend.closed
    assert str(rows[0]) == "the scalars of step 1"
