"""Statistics of logs larger than memory: the same report, by parts of the items and with bins for the medians."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from helpers import assert_same, examples, figures, record, run_statistics, strict_json, write
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import LossLogger, read_report
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.decisions import Decisions
from loss_logging.records.columns import table_from_records
from loss_logging.records.log import RecordLog
from loss_logging.reports.items import read_items
from loss_logging.statistics import queries
from loss_logging.statistics import run as statistics
from loss_logging.statistics.captions import CaptionStatistics
from loss_logging.training import report_maker

SIXTEENTHS = st.integers(1, 64).map(lambda n: n / 16)  # their sums are exact, in whatever order
LOSSES = st.one_of(SIXTEENTHS, st.sampled_from([math.nan, math.inf]))
ROWS = st.lists(
    st.builds(
        record,
        path=st.sampled_from([f"{i}'s [1].png" for i in range(12)]),
        loss=LOSSES,
        dataset=st.sampled_from(["cats", "dogs=x/y", ""]),
        caption=st.sampled_from(["", "one", "two"]),
        step=st.integers(0, 17),
        timestep=st.sampled_from([None, 0.0, 0.5, 1.0]),
        loss_empty=st.none() | SIXTEENTHS,
        is_reg=st.booleans(),
        caption_dropped=st.booleans(),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda row: (row["dataset"], row["path"], row["step"]),
)


@settings(deadline=None, max_examples=examples(6))
@given(rows=ROWS, at_once=st.integers(6, 20))
def test_a_log_in_parts_has_the_same_report(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], at_once: int
) -> None:
    """To the last digit, save step by save step; and nothing stays in the spill folder."""
    folder = tmp_path_factory.mktemp("it's a [log]")
    log = RecordLog(folder)
    write(log, rows[::2])
    write(log, rows[1::2])
    direct, parts = (run_statistics(log, spill_folder=folder / name) for name in (".spill", ".spill2"))
    captions, captions_in_parts = (
        CaptionStatistics(one.queries, log, CaptionConfig(), Decisions()) for one in (direct, parts)
    )
    for through in (8, 17):
        direct.advance(through)
        captions.check()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(queries, "_AT_ONCE", at_once)
            captions_in_parts.check_early(through)
            parts.advance(through)
            captions_in_parts.check()
        assert_same(figures(parts), figures(direct), rel=0, absolute=0)
        assert captions_in_parts.flagged(100) == captions.flagged(100)
    direct.close()
    parts.close()
    assert [path.name for path in folder.iterdir() if ".spill" in path.name] == []


@settings(deadline=None, max_examples=examples(4))
@given(
    values=st.lists(st.floats(0, 8), min_size=1, max_size=40),
    datasets=st.integers(1, 3),
)
def test_medians_of_very_many_items(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], datasets: int
) -> None:
    """Off by no more than is documented, and the report says which they are."""
    rows = [
        record(f"{i}", loss, f"d{i % datasets}", step=step, loss_empty=1.0)
        for i, loss in enumerate(values)
        for step in range(4)
    ]
    log = RecordLog(tmp_path_factory.mktemp("log"))
    write(log, rows)
    exact, binned = run_statistics(log), run_statistics(log)
    exact.advance(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_EXACT_ITEMS", 0)
        binned.advance(3)
    assert exact.paired_items().keys() == binned.paired_items().keys()
    for name, found in binned.paired_items().items():
        expected = exact.paired_items()[name]
        own = np.sort([2 * (loss - 1) / (loss + 1) for i, loss in enumerate(values) if f"d{i % datasets}" == name])
        assert (expected.median_method, found.median_method) == ("exact", "binned")
        assert expected.median == pytest.approx(np.median(own), abs=1e-12)
        # Between the two values in the middle, where their number is even, any value is a median.
        assert own[(len(own) - 1) // 2] - 2**-17 <= found.median <= own[len(own) // 2] + 2**-17
        deviations = np.sort(abs(own - found.median))
        assert found.mad == pytest.approx(deviations[(len(own) - 1) // 2], abs=2**-16)
        assert found.above_zero == expected.above_zero
    exact.close()
    binned.close()


def test_a_report_of_very_many_items_has_them_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JSON that no program could read at once is not written; every figure is in the Parquet, and readers find it."""
    monkeypatch.setattr(report_maker, "_MOST_ITEMS_IN_JSON", 3)
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(1, [0.25, 0.5, 0.75], paths=["a", "b", "c"], datasets="d", captions=["a cat"] * 3)
        few = losses.save_step(1).result()
        losses.log_batch(2, [1.0], paths=["d"], datasets="d", captions=["a cat"])
        many = losses.save_step(2).result()
    assert few is not None
    assert many is not None
    assert list(strict_json(few)["datasets"]["d"]["item_stats"]) == ["a", "b", "c"]
    assert strict_json(many)["datasets"]["d"]["item_stats"] == {}
    assert read_report(many).global_.count == 4
    for path, items in ((few, "abc"), (many, "abcd")):
        assert sorted(pa.Table.from_batches(read_items(path))["path"].to_pylist()) == list(items)


@pytest.mark.long
def test_a_damaged_shard_of_a_large_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named and left out, and the records of the others are counted."""
    monkeypatch.setattr(queries, "_AT_ONCE", 5)
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in range(1, 4):
            losses.log_records(step, table_from_records([record(f"{i}.png", 0.5) for i in range(100)]))
            losses._recorder.flush(lambda _: None, patient=True)  # type: ignore[union-attr]
        losses.save_step(3).result()
        shard = sorted((tmp_path / "loss_logging/records/run").glob("rank*.parquet"))[1]
        data = bytearray(shard.read_bytes())
        data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
        shard.write_bytes(data)
        losses.log_records(300, table_from_records([record("new.png", 0.5)]))
        path = losses.save_step(300).result()
    assert path is not None
    report = read_report(path)
    assert report.global_.count == 201
    assert any(shard.name in sentence for sentence in report.warnings)
