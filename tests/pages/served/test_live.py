from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_run import write_run
from view_server import Server
from waiting import wait_until

from loss_logging import Exclusions, LossLogger, LossReport, TrainConfig, read_report
from loss_logging.pages.served.editor import State
from loss_logging.pages.served.item_query import ItemQuery
from loss_logging.pages.served.kept_decisions import KeptDecisions
from loss_logging.pages.served.live import LiveRun
from loss_logging.pages.served.run_page import RunPage
from loss_logging.runs.locate import find_run
from loss_logging.training.late_report import make_report

pytestmark = pytest.mark.xdist_group("served")


def test_a_run_that_starts_over(tmp_path: Path) -> None:
    """The figures follow a log that is replaced by another."""
    write_run(tmp_path, steps=(10, 20))
    server = Server(tmp_path, eager=True)
    try:
        server.until(lambda state: state["step"] == 20)
        write_run(tmp_path, steps=(5,))
        server.until(lambda state: (state["step"], state["report_step"]) == (5, 5))
        assert server.items(size=1)["rows"][0]["count"] == 5
    finally:
        server.stop()


def test_reports_without_a_log(example: Path, tmp_path: Path) -> None:
    """The items come from the report's JSON, or from the Parquet file beside it."""
    shutil.copytree(example / "loss_logging", tmp_path / "loss_logging", ignore=shutil.ignore_patterns("records"))
    server = Server(tmp_path)
    try:
        server.until(lambda state: state["items"] == 120)
        assert server.items(search="number 77")["total"] == 1
        assert server.json("/api/history", dataset="cats", path="no") is None
    finally:
        assert server.stop() == (0, "")


def test_items_in_parquet_are_shown_at_once(tmp_path: Path) -> None:
    """Where the report has the items in Parquet, and nothing came after it, the log is not read for them."""
    write_run(tmp_path, items="parquet")
    for shard in (tmp_path / "loss_logging" / "records" / "job").glob("rank*.parquet"):
        assert shard.stat().st_size
    server = Server(tmp_path)
    try:
        state = server.until(lambda state: state["items"] is not None)
        assert (state["step"], state["items"]) == (30, 120)
        rows = server.items()
        assert server.until(lambda state: not state["busy"])["version"] == 2  # from the file, then from memory
        assert server.items() == rows
    finally:
        assert server.stop() == (0, "")


def test_a_log_is_read_in_pieces(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has the first records early, then eight times as many, and at last the figures of the whole log."""
    monkeypatch.setattr("loss_logging.pages.served.live._FIRST_RECORDS", 100)
    run = LiveRun(find_run(example))
    busy = set()
    with run:

        def is_read() -> bool:
            busy.add(run.state.busy)
            return run.state.step >= 30 and not run.state.busy

        wait_until(is_read, every=0.001)
        rows, total = run.page(ItemQuery(size=1_000))
    assert run.state.version == 2  # up to steps 3 and 30: 360 and 3,600 records
    assert "Reading the log: 360 of 3,600 records are in the figures" in busy
    report = read_report(example / "loss_logging" / "job_000000030.json")
    assert total == 120
    for row in rows:
        stats = report.datasets[row["dataset"]].item_stats[row["path"]]
        for name in ("hard", "caption_mismatch"):
            value = getattr(stats, name)
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9))


def test_between_save_steps_the_ranking_is_that_of_a_report(tmp_path: Path) -> None:
    """Captions that are very likely wrong lead, though an item with few and noisy pairs has a higher mean."""
    random = np.random.default_rng(0)
    names = {
        "paths": [f"{i:02}.png" for i in range(40)],
        "datasets": "d",
        "captions": [f"a cat {i}" for i in range(40)],
    }
    with LossLogger(job_name="j", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in range(1, 17):
            empty = np.where(np.arange(40) < 5, 0.8, 1.1) + random.normal(0, 0.02, 40)
            empty[6] = [0.02, 1.0, 1.5, 0.9][step % 4]
            losses.log_batch(step, np.ones(40), losses_empty=empty, **names)
            if step == 4:
                losses.save_step(step).result()
    live = between_save_steps(tmp_path, 16)
    report = read_report(make_report(find_run(tmp_path), 16))
    assert [*report.worst.caption_mismatch][5].path == "06.png"
    for name in ("path", "verdict", "count"):
        found, expected = ([getattr(item, name) for item in one.worst.caption_mismatch] for one in (live, report))
        assert found == expected
    scores = [item.score for item in live.worst.caption_mismatch]
    assert scores == pytest.approx([item.score for item in report.worst.caption_mismatch])


def between_save_steps(root: Path, step: int) -> LossReport:
    """What the page says of a run whose log goes to ``step``."""
    run = LiveRun(find_run(root))
    with run:
        wait_until(lambda: run.state.step == step and run.state.counted == run.state.version)
        live, _ = run.report()
    assert live is not None
    return live


def hurting(root: Path, save_steps: tuple[int, ...]) -> dict[str, Any]:
    """Write a run of 4 captions that hurt, to step 8; the names that it logs."""
    names = {
        "paths": [f"{root}/images/{i}.png" for i in range(4)],
        "datasets": "d",
        "captions": [f"a cat {i}" for i in range(4)],
    }
    (root / "images").mkdir()
    with LossLogger(job_name="j", save_root=root, loggers=[], reporter="inline") as losses:
        for step in range(1, 9):
            losses.log_batch(step, np.ones(4) + step / 100, losses_empty=np.arange(4) / 10 + 0.5, **names)
            if step in save_steps:
                losses.save_step(step).result()
    return names


def test_between_save_steps_what_is_settled_is_not_shown_as_wrong(tmp_path: Path) -> None:
    """A caption that was found fine and an excluded image are not ranked again, and a postponed one is marked."""
    names = hurting(tmp_path, (4,))
    decisions = find_run(tmp_path).decisions
    for path, caption, decided in zip(names["paths"], names["captions"], ("fine", "exclude", "later"), strict=False):
        decisions.decide(path, decided, caption=caption)
    live = between_save_steps(tmp_path, 8)
    assert [(item.caption, item.decision) for item in live.worst.caption_mismatch] == [
        ("a cat 2", "later"),
        ("a cat 3", None),
    ]
    assert {item.caption: item.decision for item in live.worst.hard}["a cat 1"] == "exclude"


def test_what_is_settled_on_the_page_is_not_shown_as_wrong(tmp_path: Path) -> None:
    """At the last save step, too, ranking and counts follow a decision; the queue keeps the item, to undo it there."""
    names = hurting(tmp_path, (8,))
    run = LiveRun(find_run(tmp_path))
    decisions = KeptDecisions(run.config.decisions, run, run.recount)
    run.decided, run.decision_of = decisions.all, decisions.of
    with run:
        wait_until(lambda: run.state.counted == run.state.version >= 1)
        _, before = run.report()
        decisions.keep("d", names["paths"][0], State("a cat 0", "fine"), "a cat 0")
        wait_until(lambda: run.report()[1] != before)
        report, counts = run.report()
        queue = RunPage(run).queue()
    assert report is not None
    assert before is not None
    assert counts is not None
    assert [item.caption for item in report.worst.caption_mismatch] == ["a cat 1", "a cat 2", "a cat 3"]
    assert (before.likely + before.look, counts.likely + counts.look) == (4, 3)
    assert ("d", names["paths"][0]) in queue


def test_the_table_comes_before_the_charts(example: Path) -> None:
    """The log is not read for the curves while there are no items to show; afterwards it is."""
    run = LiveRun(find_run(example))
    assert run.curves().steps == []
    with run:
        wait_until(lambda: run.state.items is not None)
        assert run.curves().steps


def test_a_page_of_rows_asks_for_their_decisions_alone(example: Path) -> None:
    """All decisions, which are in files of all folders, are looked through only to filter by them."""
    run = LiveRun(find_run(example))
    asked = []
    run.decided, run.decision_of = lambda: asked.append("all") or {}, lambda _dataset, _path: "later"
    with run:
        wait_until(lambda: run.state.items is not None)
        rows, _ = run.page(ItemQuery(size=5))
        assert ([row["decision"] for row in rows], asked) == (["later"] * 5, [])
        assert run.page(ItemQuery(decision="fine")) == ([], 0)
        assert asked == ["all"]


def test_an_exclude_list_of_the_page_is_read_as_it_was_meant(tmp_path: Path) -> None:
    """A path that begins with "#" is no remark, an image of two datasets is named once, and none is read as two."""
    names = ["#1.png", "2.png", "3.png\n2.png", "4.png\u20282.png"]
    with LossLogger(job_name="j", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for dataset in "de":
            losses.log_batch(1, [1.0] * 4, paths=names, datasets=dataset, captions=["a cat"] * 4)
        losses.save_step(1).result()
    server = Server(tmp_path)
    try:
        server.until(lambda state: state["items"] == 8)
        text = server.ask("/exclude.txt", q="{}").text
    finally:
        server.stop()
    assert text == "./#1.png\n2.png\n"
    (tmp_path / "exclude.txt").write_text(text)
    exclusions = Exclusions(TrainConfig(job_name="k", save_root=tmp_path, exclude=tmp_path / "exclude.txt"))
    assert [exclusions.excludes(path) for path in names] == [True, True, False, False]
