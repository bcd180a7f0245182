"""loss_logging.reports.compare and loss_logging.cli.tables.comparison"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers import examples, record
from hypothesis import given, settings
from hypothesis import strategies as st
from item_reports import printed, save

from loss_logging import LossLogger, aggregate_by_dataset
from loss_logging.reports import compare
from loss_logging.reports.artifact import read_report
from loss_logging.reports.compare import ItemCounts, Moments, compare_reports
from loss_logging.reports.report import DatasetReport, Summary

CATS, DOGS = ("cats", "1.png"), ("dogs", "2.png")


def test_save_steps_of_one_run_are_compared_without_their_overlap(tmp_path: Path) -> None:
    """The second report contains the first; "after" is the mean of what came in between."""
    first, second = save(tmp_path, [{CATS: [1.0, 3.0], DOGS: [1.0, 1.0]}, {CATS: [8.0, 6.0], DOGS: [0.5, 0.25]}])
    found = compare_reports(first, second)
    assert found.continues
    cats, dogs = found.datasets
    assert (cats.dataset, cats.before, cats.after, cats.n_before, cats.n_after) == ("cats", 2.0, 7.0, 2, 2)
    assert (dogs.before, dogs.after, dogs.change) == (1.0, 0.375, -0.625)
    (worse,) = found.worse
    (better,) = found.better
    assert (worse.path, worse.before, worse.after, worse.change) == ("1.png", 2.0, 7.0, 5.0)
    assert (better.path, better.before, better.after, better.n_before, better.n_after) == ("2.png", 1.0, 0.375, 2, 2)
    # Within cats, the four losses lie 1 from the mean of their side: s^2 = 4 / (2 + 2 - 2).
    assert worse.z == pytest.approx(5.0 / math.sqrt(2.0 * (1 / 2 + 1 / 2)))
    assert cats.z == pytest.approx(5.0 / math.sqrt(2 / 2 + 2 / 2))  # a variance of 2 on both sides


def test_two_runs_are_compared_as_they_stand(tmp_path: Path) -> None:
    """Reports in two folders are of two runs, whatever their names and steps."""
    (first,) = save(tmp_path / "a", [{CATS: [1.0, 3.0]}])
    (second,) = save(tmp_path / "b", [{CATS: [4.0, 4.0, 4.0]}])
    found = compare_reports(first, second)
    assert not found.continues
    assert (found.overall.before, found.overall.after, found.overall.n_after) == (2.0, 4.0, 3)


@settings(deadline=None, max_examples=examples(100))
@given(*[st.lists(st.floats(0.0625, 8, width=16), min_size=1, max_size=12)] * 2)
def test_a_datasets_z_is_welchs(before: list[float], after: list[float]) -> None:
    """As NumPy computes it; none where a side has one loss, or neither varies."""
    change = compare._change("d", DatasetReport(_summary(before)), DatasetReport(_summary(after)), False, ItemCounts())
    if min(len(before), len(after)) < 2 or len({*before}) == len({*after}) == 1:
        assert change.z is None
    else:
        error = math.sqrt(sum(np.var(losses, ddof=1) / len(losses) for losses in (before, after)))
        assert change.z == pytest.approx((np.mean(after) - np.mean(before)) / error, rel=1e-9)


def _summary(losses: list[float]) -> Summary:
    return aggregate_by_dataset([record(loss=loss) for loss in losses]).overall


@pytest.mark.parametrize(
    "sides",
    [
        pytest.param(([0.5], [0.1, 0.11, 0.12]), marks=pytest.mark.long),
        pytest.param(([0.1, 0.11, 0.12], [0.5]), marks=pytest.mark.long),
        pytest.param(([0.5], [0.1]), marks=pytest.mark.long),
        pytest.param(([0.1] * 7, [0.3] * 7), marks=pytest.mark.long),
        ([0.1 + 1e-17, 0.1, 0.30000000000000004 - 0.2], [0.3, 0.1 + 0.2, 0.3]),
        ([1e200, 1.0, 2.0], [1.0, 2.0, 1e200]),
    ],
    ids=str,
)
def test_no_z_without_a_spread(sides: tuple[list[float], list[float]], tmp_path: Path) -> None:
    """One loss says nothing about how much losses vary, nor do equal ones, up to rounding, or such as overflow; that is
    so for save steps of a run, too, whose overlap is taken away."""
    if len(set(map(len, sides))) == 1:
        first, second = save(tmp_path / "run", [{CATS: losses} for losses in sides])
        assert compare_reports(first, second).overall.z is None
        assert {item.z for item in compare_reports(first, second).worse} <= {None}
    ((first,), (second,)) = (save(tmp_path / f"{i}", [{CATS: losses}]) for i, losses in enumerate(sides))
    assert compare_reports(first, second).datasets[0].z is None
    assert compare_reports(first, second).overall.z is None


def test_items_in_one_report_only_are_said(tmp_path: Path) -> None:
    """They are counted and named, and enter no comparison."""
    (first,) = save(tmp_path / "a", [{CATS: [1.0], ("cats", "gone.png"): [1.0], ("old", "3.png"): [1.0]}])
    (second,) = save(tmp_path / "b", [{CATS: [1.0], ("cats", "new.png"): [9.0]}])
    found = compare_reports(first, second)
    assert found.only_before == [("cats", "gone.png"), ("old", "3.png")]
    assert found.only_after == [("cats", "new.png")]
    counts = {change.dataset: change.items for change in found.datasets}
    assert (counts["cats"].only_before, counts["cats"].only_after, counts["cats"].unclear) == (1, 1, 1)
    assert counts["old"].only_before == 1
    assert found.worse == found.better == []
    text = printed(found)
    assert "Only in A: 2 items (cats: gone.png, old: 3.png)" in text
    assert "Only in B: 1 items (cats: new.png)" in text


def test_clear_changes_are_counted(tmp_path: Path) -> None:
    """An item that moves far beyond the spread within items counts as worse or better, the others as unclear."""
    random = np.random.default_rng(0)
    items = [("d", f"{i}.png") for i in range(40)]
    before = {item: random.normal(1.0, 0.1, 20).tolist() for item in items}
    moved = {0: 0.5, 1: 0.5, 2: -0.5}
    after = {item: random.normal(1.0 + moved.get(i, 0.0), 0.1, 20).tolist() for i, item in enumerate(items)}
    found = compare_reports(*save(tmp_path, [before, after]))
    counts = found.datasets[0].items
    assert (counts.worse, counts.better, counts.unclear) == (2, 1, 37)
    assert {item.path for item in found.worse[:2]} == {"0.png", "1.png"}
    assert found.better[0].path == "2.png"


@pytest.mark.parametrize("n", [1, 2])
def test_without_a_spread_no_change_is_clear(tmp_path: Path, n: int) -> None:
    """With one loss each nobody knows what chance does: no item got better or worse. With two equal ones, all did."""
    items = [("d", f"{i}.png") for i in range(8)]
    sides = [{item: [1.0 + (i * j) % 5] * n for i, item in enumerate(items)} for j in (3, 4)]
    found = compare_reports(*[save(tmp_path / str(i), [side])[0] for i, side in enumerate(sides)])
    counts = found.overall.items
    changed = [side > 1 for side in map(len, (found.worse, found.better))]
    assert changed == [True, True]
    assert (counts.worse, counts.better) == ((len(found.worse), len(found.better)) if n == 2 else (0, 0))
    assert counts.unclear == 8 - counts.worse - counts.better


@pytest.mark.parametrize("items", ["parquet", pytest.param("both", marks=pytest.mark.long)])
def test_items_wherever_they_are(items: str, tmp_path: Path) -> None:
    """Items are read from the JSON, or from the Parquet beside it, to the same result."""
    losses = [{CATS: [1.0, 3.0], DOGS: [1.0, 1.5]}, {CATS: [2.0, 7.0], DOGS: [0.5, 0.25]}]
    expected = compare_reports(*save(tmp_path / "json", losses))
    found = compare_reports(*save(tmp_path / items / "x", losses, items=items))
    assert (found.worse, found.better, found.datasets) == (expected.worse, expected.better, expected.datasets)


def test_a_report_without_items(tmp_path: Path) -> None:
    """Datasets are compared, and that items are missing is said."""
    found = compare_reports(*save(tmp_path, [{CATS: [1.0]}, {CATS: [2.0]}], log_per_example=False))
    assert found.overall.change == 1.0
    assert not found.before.has_items
    assert "A has no figures per item" in printed(found)


def test_non_finite_losses_count_nowhere(tmp_path: Path) -> None:
    """NaN and infinity are in neither mean nor number; an item that has nothing else is compared with nothing."""
    losses = [{CATS: [1.0, math.nan], DOGS: [math.inf]}, {CATS: [math.inf, 3.0], DOGS: [1.0]}]
    found = compare_reports(*save(tmp_path, losses))
    assert (found.overall.n_before, found.overall.n_after) == (1, 2)
    (worse,) = found.worse
    assert (worse.path, worse.before, worse.after, worse.n_before, worse.n_after) == ("1.png", 1.0, 3.0, 1, 1)


def test_flags_and_other_figures(tmp_path: Path) -> None:
    """Flagged captions are counted by reason; items can be compared by hard, as it stands in each report."""
    losses = {("d", f"{i}.png"): [1.0 + i, 1.0] for i in range(5)}
    captions = {"0.png": "untitled", "1.png": "", "2.png": "a"}
    (first,) = save(tmp_path / "a", [losses], captions=captions)
    (second,) = save(tmp_path / "b", [losses], captions={"2.png": "a"})
    found = compare_reports(first, second, "hard")
    assert found.flags["empty"] == (2, 0)
    assert {item.z for item in (*found.worse, *found.better)} <= {None}
    report = read_report(first)
    stats = report.datasets["d"].item_stats
    other = save(tmp_path / "c", [{**losses, ("d", "0.png"): [9.0, 9.0]}])[0]
    changed = {item.path: item for item in compare_reports(first, other, "hard").worse}
    assert changed["0.png"].before == pytest.approx(stats["0.png"].hard)
    assert "-2" in printed(found)


def test_items_against_numpy(tmp_path: Path) -> None:
    """Means and z are those that numpy computes from the losses, for items with one record as for items with many."""
    random = np.random.default_rng(1)
    items = [("d", f"{i}.png") for i in range(60)]
    sides = [{item: random.gamma(2.0, 0.3, random.integers(1, 9)).tolist() for item in items} for _ in range(2)]
    found = compare_reports(*save(tmp_path, sides), rows=60)
    changed = {item.path: item for item in (*found.worse, *found.better)}
    pairs = [[np.array(side[item], np.float32).astype(float) for side in sides] for item in items]
    m2 = sum(part.var() * len(part) for pair in pairs for part in pair)
    spread = math.sqrt(m2 / sum(len(before) + len(after) - 2 for before, after in pairs))
    for (_, path), (before, after) in zip(items, pairs, strict=True):
        item = changed[path]
        assert (item.n_before, item.n_after) == (len(before), len(after))
        assert (item.before, item.after) == pytest.approx((before.mean(), after.mean()))
        error = spread * math.sqrt(1 / len(before) + 1 / len(after))
        assert item.z == pytest.approx((after.mean() - before.mean()) / error, rel=1e-4)


@given(st.lists(losses := st.floats(1e-3, 1e3), max_size=20), st.lists(losses, max_size=20))
def test_a_part_can_be_taken_away(part: list[float], rest: list[float]) -> None:
    """What is left of the moments of all losses without those of a part are the moments of the rest."""
    whole = moments([*part, *rest]).without(moments(part))
    expected = moments(rest)
    assert whole.n == expected.n
    assert (whole.mean is None) == (expected.mean is None)
    assert (whole.mean or 0.0) == pytest.approx(expected.mean or 0.0, rel=1e-9, abs=1e-9)
    assert whole.m2 == pytest.approx(expected.m2, rel=1e-6, abs=1e-3)


def moments(losses: list[float]) -> Moments:
    if not losses:
        return Moments()
    return Moments(len(losses), float(np.mean(losses)), float(np.var(losses)) * len(losses))


def test_an_undecided_caption_mismatch_is_no_change(tmp_path: Path) -> None:
    """By caption_mismatch, items with fewer than 4 paired records in either report got neither better nor worse."""
    with LossLogger(job_name="j", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        reports = []
        for step in range(1, 9):
            both = [0.9, 0.9] if step > 4 else [0.5, 0.5]
            pairs = [0.6, 0.6 if step in (4, 5) else float("nan")]
            losses.log_batch(
                step, both, paths=["many", "few"], datasets="d", captions=["a red cat"] * 2, losses_empty=pairs
            )
            if step % 4 == 0:
                reports.append(losses.save_step(step).result())
    first, second = reports
    assert first is not None
    assert second is not None
    comparison = compare_reports(first, second, "caption_mismatch")
    assert [item.path for item in comparison.worse] == ["many"]
    assert comparison.better == []
