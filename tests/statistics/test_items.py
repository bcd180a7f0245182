from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hard_items import hard_items
from helpers import assert_same, examples, is_decided, item_rows, plain_items, record, run_statistics, write
from hypothesis import given, settings
from hypothesis import strategies as st
from summaries import NON_FINITE, ORDINARY, assert_summary, by_dataset, records

from loss_logging.records.log import RecordLog

VERDICT = (
    "p_wrong",
    "p_odd",
    "verdict",
    "evidence",
    "picture_odds",
    "loss_odds",
    "word",
    "better_word",
    "word_score",
    "decision",
)
"""Columns of `test_verdicts` and `test_decided`."""


@settings(deadline=None, max_examples=examples(40))
@given(
    rows=records(st.one_of(ORDINARY, ORDINARY, NON_FINITE)),
    block=st.sampled_from([1, 5, 100]),
    scale=st.sampled_from([1.0, None]),
)
def test_items_follow_their_definitions(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], block: int, scale: float | None
) -> None:
    """Per item: count, average, extremes, std, last, hard, caption_mismatch and its standard error."""
    log = RecordLog(tmp_path_factory.mktemp("log"))
    write(log, rows)
    numbers = run_statistics(log, block_steps=block, timestep_scale=scale)
    numbers.advance(17)
    expected = plain_items(rows, block, scale)
    got = {(row.pop("dataset"), row.pop("path")): row for row in item_rows(numbers)}
    assert sorted(got) == sorted(expected)
    for figures_ in got.values():
        for verdict in VERDICT:
            del figures_[verdict]
    for key, figures_ in got.items():
        assert_same(figures_, {name: expected[key][name] for name in figures_}, rel=1e-6, absolute=1e-9, where=str(key))
    hard = {key: one["hard"] for key, one in expected.items() if one["hard"] is not None}
    worst = numbers.worst_hard(3)
    assert [item.score for item in worst] == pytest.approx(sorted(hard.values(), reverse=True)[:3], rel=1e-6, abs=1e-9)
    for item in worst:
        assert item.score == pytest.approx(hard[item.dataset, item.path], rel=1e-6, abs=1e-9)
    decided = {key: one for key, one in expected.items() if is_decided(one)}
    assert len(numbers.worst_caption_mismatch(99)) == len(decided)
    for item in numbers.worst_caption_mismatch(99):
        one = expected[item.dataset, item.path]
        assert_same(item.robust_z, one["robust_z"], rel=1e-5, absolute=1e-6)
        assert item.score == pytest.approx(one["caption_mismatch"], rel=1e-6, abs=1e-9)
        assert item.standard_error == pytest.approx(one["standard_error"], rel=1e-5, abs=1e-6)
        assert item.count == one["n_paired"] >= 4
    for name, counts in numbers.paired_items().items():
        own = [key for key in expected if key[0] == name]
        unpaired = sum(expected[key]["n_paired"] == 0 for key in own)
        known = [key for key in own if key in decided]
        assert counts.decided == len(known)
        assert counts.unpaired == unpaired
        assert counts.undecided == len(own) - len(known) - unpaired
    for name, summary in numbers.summaries(3).items():
        assert_summary(summary, by_dataset(rows)[name])
    numbers.close()


def test_few_records_more_change_the_rows_of_their_items_alone(tmp_path: Path) -> None:
    """Figures are those of one reading of the whole log; what was replaced takes at most a quarter more memory."""
    log = RecordLog(tmp_path)
    rng = np.random.default_rng(3)
    added = run_statistics(log, block_steps=1, timestep_scale=1.0)
    held = []
    for step in range(1, 13):
        numbers = range(300) if step == 1 else rng.integers(320, size=24)
        pairs = {"loss_empty": 0.5, "loss_rival": 0.4} if step % 3 == 0 else {}
        write(
            log,
            [
                record(path=f"{i}.png", dataset="de"[i % 2], caption=f"{i} {step // 5}", loss=loss, step=step, **pairs)
                for i, loss in zip(map(int, numbers), rng.lognormal(-1, 0.4, len(numbers)), strict=True)
            ],
        )
        added.advance(step)
        held.append(added.queries.held_rows("closed_items") / added.count_items())
    anew = run_statistics(log, block_steps=1, timestep_scale=1.0)
    anew.advance(12)
    rows = [sorted(item_rows(one), key=lambda row: (row["dataset"], row["path"])) for one in (added, anew)]
    assert_same(*rows)
    assert len(rows[0]) > 300
    assert 1.1 < max(held) <= 1.25
    assert min(held[3:]) < 1.1  # it was made anew


@pytest.mark.parametrize("size", [1e155, 1e200, 1e307])
@pytest.mark.parametrize("all_of_them", [True, False])
def test_losses_that_overflow_have_no_hard(tmp_path: Path, size: float, all_of_them: bool) -> None:
    """Where the spread is more than a float holds, `hard` and the deviations are None, not 0 or infinite; other blocks
    and timestep bins have theirs."""
    rows = [
        record(path=str(i % 5), loss=size * (1 + i % 7) if all_of_them or i == 3 else 1.0 + i % 3, step=1, timestep=0.1)
        for i in range(40)
    ]
    other = [record(path=f"o{i}", loss=1.0 + i % 3, step=1, timestep=0.9) for i in range(40)]
    later = [record(path=f"l{i}", loss=1.0 + i % 3, step=6) for i in range(40)]
    log = RecordLog(tmp_path)
    write(log, rows + other + later)
    (numbers := run_statistics(log)).advance(6)
    items = {row["path"]: row for row in item_rows(numbers)}
    for path in "01234":
        assert (items[path]["hard"], items[path]["std_z"]) == (None, None)
    assert items["3"]["std_loss"] is None
    z = np.array([1.0 + i % 3 for i in range(40)])
    z = (z - z.mean()) / z.std()
    for kind in "ol":
        assert [items[f"{kind}{i}"]["hard"] for i in range(40)] == pytest.approx((z / 6).tolist())
    assert {item.path[0] for item in numbers.worst_hard(999)} == {"o", "l"}


@settings(deadline=None, max_examples=examples(25))
@given(st.lists(st.sampled_from([0.3, 0.1 + 0.2, 0.1 * 3, 0.30000000000000016]), min_size=8, max_size=40))
def test_losses_equal_up_to_rounding_rank_nothing(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float]
) -> None:
    """What is left of equal losses, and of equal mismatches, when they were computed in another order is no spread."""
    log = RecordLog(tmp_path_factory.mktemp("log"))
    rows = [record(path="ab"[i % 2], loss=loss, loss_empty=loss / 1.5, step=i) for i, loss in enumerate(losses)]
    write(log, rows)
    (numbers := run_statistics(log)).advance(40)
    assert numbers.worst_hard(3) == []
    for item in numbers.worst_caption_mismatch(3):
        assert item.score == pytest.approx(0.4)
        assert (item.standard_error, item.t) == (0.0, None)
    numbers.close()


def test_an_item_seen_once_does_not_lead(tmp_path: Path) -> None:
    """One high loss weighs a sixth of its z; an item that is high each time comes before it."""
    rng = np.random.default_rng(10)
    rows = [
        record(path=f"{i % 20}", step=1 + i // 20, loss=float(rng.normal(1, 0.1) + (0.3 if i % 20 == 4 else 0)))
        for i in range(400)
    ]
    rows.append(record(path="once", step=20, loss=1.5))
    hard = hard_items(rows, tmp_path)
    assert next(iter(hard)) == "4"
    assert 0 < hard["once"] < hard["4"] / 2


@pytest.mark.parametrize("losses", [[0.5], [0.5, 0.5], [0.25, 0.75]], ids=str)
def test_a_dataset_of_one_item(tmp_path: Path, losses: list[float]) -> None:
    """There is nobody to compare it with: no z where losses are equal, and never a robust z."""
    log = RecordLog(tmp_path)
    write(log, [record(loss=loss, step=i, loss_empty=1.0) for i, loss in enumerate(losses * 4)])
    (numbers := run_statistics(log, block_steps=100)).advance(100)
    (item,) = item_rows(numbers)
    assert (item["hard"] is None) == (len(set(losses)) == 1)
    if item["hard"] is not None:
        assert (item["hard"], item["std_z"]) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    assert item["robust_z"] is None
    (worst,) = numbers.worst_caption_mismatch(9)
    assert worst.score == pytest.approx(np.mean([2 * (loss - 1) / (loss + 1) for loss in losses]))
    assert worst.robust_z is None
    assert numbers.paired_items()["d"].mad == 0
