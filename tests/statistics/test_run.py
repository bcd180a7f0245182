"""loss_logging/statistics against NumPy, and against its definitions in plain Python (helpers.py)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hard_items import hard_items
from helpers import assert_same, examples, figures, item_rows, plain_edges, record, run_statistics, write
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from summaries import NON_FINITE, ORDINARY, records

from loss_logging import aggregate_by_dataset
from loss_logging.records.log import RecordLog
from loss_logging.reports.item_texts import item_texts
from loss_logging.statistics import items as item_sums
from loss_logging.statistics import timestep_bins
from loss_logging.statistics.run import RunStatistics


@settings(
    deadline=None, max_examples=examples(12), phases=set(Phase) - {Phase.shrink}
)  # an example takes a quarter of a second
@given(
    data=st.data(),
    rows=records(st.one_of(ORDINARY, NON_FINITE), max_size=30),
    block=st.sampled_from([1, 4, 100]),
    scale=st.sampled_from([1.0, None]),
    enough=st.sampled_from([5, 200]),
    most_held=st.sampled_from([1.25, 100.0]),
)
def test_figures_do_not_depend_on_when_they_were_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    rows: list[dict[str, Any]],
    block: int,
    scale: float | None,
    enough: int,
    most_held: float,
) -> None:
    """In one go, or at odd steps while the log grows, is compacted, and gets records late: the same in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestep_bins, "_ENOUGH", enough)
        patch.setattr(item_sums, "_MOST_HELD", most_held)
        ends = sorted(data.draw(st.lists(st.integers(0, 17), max_size=5), label="asked at"))
        for i, row in enumerate(rows):  # of equal peaks of one item, any one may be shown
            row["loss"] += i / 1024
        late = data.draw(st.sets(st.integers(0, len(rows)), max_size=3), label="late")
        log = RecordLog(tmp_path_factory.mktemp("grows"))
        numbers = run_statistics(log, block_steps=block, timestep_scale=scale)
        for start, end in zip([-1, *ends], [*ends, 17], strict=True):
            for step in range(start + 1, end + 1):
                write(log, [row for i, row in enumerate(rows) if row["step"] == step and i not in late])
            if data.draw(st.booleans(), label="compact"):
                log.compact()
            numbers.advance(end)
        write(log, [row for i, row in enumerate(rows) if i in late])
        numbers.advance(17)
        whole = RecordLog(tmp_path_factory.mktemp("whole"))
        write(
            whole,
            [row for i, row in enumerate(rows) if i not in late] + [row for i, row in enumerate(rows) if i in late],
        )
        at_once = run_statistics(whole, block_steps=block, timestep_scale=scale)
        at_once.advance(17)
        assert_same(figures(numbers), figures(at_once), rel=1e-7, absolute=1e-9)
        numbers.advance(8)
        at_once.advance(8)
        assert_same(figures(numbers), figures(at_once), rel=1e-7, absolute=1e-9)
        numbers.close()
        at_once.close()


def _walk(seed: int, steps: range) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        record(path=str(rng.integers(20)), dataset="ab"[rng.integers(2)], loss=rng.lognormal(), step=step, timestep=t)
        for step in steps
        for t in rng.random(6)
    ]


def test_a_truncated_log_is_computed_anew(tmp_path: Path) -> None:
    """A run that goes back and goes on differently has the figures of what is in the log now."""
    log = RecordLog(tmp_path)
    write(log, _walk(1, range(31)))
    numbers = run_statistics(log)
    numbers.advance(30)
    log.truncate(12)
    write(log, _walk(2, range(13, 26)))
    fresh = run_statistics(log)
    for end in (20, 25):
        numbers.advance(end)
        fresh.advance(end)
        assert_same(figures(numbers), figures(fresh))


def test_a_run_agrees_with_aggregate_by_dataset(tmp_path: Path) -> None:
    """The figures in a report are those of aggregate_by_dataset over the same records."""
    rows = _walk(3, range(40))
    log = RecordLog(tmp_path)
    write(log, rows)
    numbers = run_statistics(log)
    numbers.advance(17)
    numbers.advance(39)
    expected = aggregate_by_dataset(rows, top_k=5)
    for name, summary in numbers.summaries(5).items():
        plain = msgspec.structs.replace(summary, histogram=None, loss_by_timestep=None)
        other = expected.overall if name is None else expected.datasets[name]
        assert_same(msgspec.to_builtins(plain), msgspec.to_builtins(other))


def test_top_k_shows_the_caption_of_the_record(tmp_path: Path) -> None:
    """Caption, step and timestep in top_k belong to the record with the highest loss."""
    rows = [record(loss=2.0, step=1, caption="worst", timestep=0.5), record(loss=1.0, step=2, caption="later")]
    log = RecordLog(tmp_path)
    write(log, rows)
    numbers = run_statistics(log)
    numbers.advance(2)
    assert numbers.summaries(1)[None].top_k == aggregate_by_dataset(rows).overall.top_k


def test_top_k_shows_the_timestep_of_the_record(tmp_path: Path) -> None:
    """A peak without a timestep does not borrow that of another record."""
    log = RecordLog(tmp_path)
    write(log, [record(loss=2.0, step=1), record(loss=1.0, step=2, timestep=0.5)])
    numbers = run_statistics(log, block_steps=1)
    for end in (1, 2):
        numbers.advance(end)
        (top,) = numbers.summaries(1)[None].top_k
        assert (top.loss, top.step, top.timestep) == (2.0, 1, None)
    (fresh := run_statistics(log)).advance(2)
    assert fresh.summaries(1)[None].top_k == [top]


# --- timesteps ------------------------------------------------------------------------------------------------------


def _curve(rows: list[dict[str, Any]], folder: Path, **options: Any) -> tuple[Any, dict[str, Any], float | None]:
    folder.mkdir()
    log = RecordLog(folder)
    write(log, rows)
    numbers = run_statistics(log, **options)
    numbers.advance(100)
    everything = figures(numbers)
    return everything["summaries"]["None"]["loss_by_timestep"], everything, numbers.timestep_scale


@pytest.mark.parametrize("stated", [True, False])
def test_loss_by_timestep(tmp_path: Path, stated: bool) -> None:
    """Means per bin are NumPy's; records without a timestep are in none; 1024 is the same as 1."""
    rng = np.random.default_rng(6)
    timesteps = [None if rng.random() < 0.2 else float(t) for t in (rng.integers(0, 1024, 500) + 0.5) / 1024]
    losses = rng.lognormal(size=500)
    rows = [
        record(path=str(i % 30), loss=float(loss), step=i // 9, timestep=t)
        for i, (loss, t) in enumerate(zip(losses, timesteps, strict=True))
    ]
    curve, everything, scale = _curve(rows, tmp_path / "1", timestep_scale=1.0 if stated else None)
    assert scale == (1.0 if stated else None)
    known = np.array([t is not None for t in timesteps])
    places = np.array([t for t in timesteps if t is not None])
    counts, edges = np.histogram(places, np.linspace(0, 1, 21) if stated else plain_edges(rows, 5))
    sums, _ = np.histogram(places, edges, weights=losses[known])
    assert len(counts) == 20
    assert curve["edges"] == pytest.approx(edges.tolist())
    if not stated:  # the bins of the first 200 hold about as many each; a few later ones lie outside
        counts[0] += (places < edges[0]).sum()
        counts[-1] += (places > edges[-1]).sum()
        sums[0] += losses[known][places < edges[0]].sum()
        sums[-1] += losses[known][places > edges[-1]].sum()
        assert max(curve["counts"]) < 3 * min(curve["counts"])
    assert curve["counts"] == counts.tolist()
    assert curve["means"] == pytest.approx((sums / counts).tolist())

    many = [row | {"timestep": None if row["timestep"] is None else row["timestep"] * 1024} for row in rows]
    other, everything_of_many, _ = _curve(many, tmp_path / "1024", timestep_scale=1024.0 if stated else None)
    assert other["edges"] == pytest.approx((edges * 1024).tolist())
    assert_same((other["counts"], other["means"]), (curve["counts"], curve["means"]))
    assert_same(everything_of_many["items"], everything["items"])


TIMESTEPS: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "50 whole ones": lambda rng, n: rng.integers(0, 50, n),
    "100 whole ones": lambda rng, n: rng.integers(1, 101, n),
    "1000 whole ones": lambda rng, n: rng.integers(0, 1000, n),
    "0 to 1": lambda rng, n: rng.random(n),
    "1000 to 0, shifted": lambda rng, n: 1000 / (1 + (1 / rng.random(n) - 1) / 3),
    "logit normal": lambda rng, n: 1 / (1 + np.exp(-rng.normal(size=n))),
    "sigmas to 80": lambda rng, n: np.minimum(np.exp(rng.normal(-1.2, 1.2, n)), 80),
    "sigmas of Karras": lambda rng, n: (80 ** (1 / 7) + rng.random(n) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7,
    "four": lambda rng, n: rng.choice([249, 499, 749, 999], n),
    "mostly the last": lambda rng, n: np.where(rng.random(n) < 0.6, 1.0, rng.random(n)),
    "below 0": lambda rng, n: rng.random(n) - 0.5,
    "1e12 and more": lambda rng, n: 1e12 * (1 + rng.random(n)),
}


def _trained_with_odd_ones(timesteps: Any, batch: int, items: int = 400) -> list[dict[str, Any]]:
    """Records of 20 passes in which the loss says above all which timestep it was, and items 0 to 19 are odd."""
    rng = np.random.default_rng(7)
    n = len(timesteps)
    ranks = np.searchsorted(np.sort(timesteps), timesteps) / n  # how easy it is, on whatever scale
    paths = np.concatenate([rng.permutation(items) for _ in range(n // items)])
    losses = np.exp(-4 * ranks) * np.exp(rng.normal(0, 0.2, n)) * np.where(paths < 20, 1.3, 1.0)
    columns = zip(paths.tolist(), losses.tolist(), timesteps.tolist(), strict=True)
    return [
        record(path=str(path), loss=loss, step=1 + i // batch, timestep=timestep)
        for i, (path, loss, timestep) in enumerate(columns)
    ]


def _odd_ones_found(numbers: RunStatistics) -> int:
    return sum(int(item.path) < 20 for item in numbers.worst_hard(20))


EVERY_RUN = ("1000 whole ones", "0 to 1", "sigmas of Karras", "below 0")


@pytest.mark.parametrize(
    "kind", [kind if kind in EVERY_RUN else pytest.param(kind, marks=pytest.mark.long) for kind in TIMESTEPS]
)
def test_odd_images_are_found_on_any_scale(tmp_path: Path, kind: str) -> None:
    """Where the loss says above all which timestep it was, `hard` finds the odd items, no scale being stated."""
    log = RecordLog(tmp_path)
    write(log, _trained_with_odd_ones(TIMESTEPS[kind](np.random.default_rng(7), 8_000).astype(float), batch=8))
    numbers = run_statistics(log, timestep_scale=None, block_steps=250)
    numbers.advance(1000)
    assert _odd_ones_found(numbers) >= 19
    assert numbers.timesteps_outside() is None
    # The same when it is looked at early, and from the records in memory.
    early = run_statistics(log, timestep_scale=None, block_steps=250)
    for step in (3, 40, 270, 700, 1000):
        early.advance(step)
    assert_same(figures(early), figures(numbers))


@pytest.mark.parametrize(("batch", "block"), [(2, 50), (1, 100), (4, 10)])
def test_odd_images_are_found_in_small_blocks(tmp_path: Path, batch: int, block: int) -> None:
    """With too few records between two save steps for 20 bins, `hard` does not rank by timestep either."""
    log = RecordLog(tmp_path)
    write(log, _trained_with_odd_ones(np.random.default_rng(7).random(8_000) * 1000, batch))
    numbers = run_statistics(log, timestep_scale=None, block_steps=block)
    numbers.advance(8_000)
    assert _odd_ones_found(numbers) >= 15


def test_no_timesteps_no_curve(tmp_path: Path) -> None:
    """Without timesteps there is no curve and no scale, and `hard` standardises over the block alone."""
    log = RecordLog(tmp_path)
    write(log, [record(path=str(i), loss=float(i)) for i in range(9)])
    numbers = run_statistics(log, timestep_scale=None)
    numbers.advance(0)
    assert numbers.timestep_scale is None
    assert numbers.summaries(0)[None].loss_by_timestep is None
    assert [item.path for item in numbers.worst_hard(2)] == ["8", "7"]


def test_a_curve_per_dataset(tmp_path: Path) -> None:
    """Each dataset has the curve of its own losses."""
    rows = [
        record(path=str(i), dataset="ab"[i % 2], loss=float(1 + i % 2), timestep=(i % 20 + 0.5) / 20, step=1)
        for i in range(80)
    ]
    log = RecordLog(tmp_path)
    write(log, rows)
    (numbers := run_statistics(log)).advance(1)
    curves = {name: summary.loss_by_timestep for name, summary in numbers.summaries(0).items()}
    assert all(curve is not None for curve in curves.values())
    assert curves["a"].counts == [4, 0] * 10  # type: ignore[union-attr]
    assert curves["b"].means == [None, 2.0] * 10  # type: ignore[union-attr]
    assert curves[None].means == [1.0, 2.0] * 10  # type: ignore[union-attr]


# --- the two rankings on bad input ----------------------------------------------------------------------------------


def test_some_timesteps_missing(tmp_path: Path) -> None:
    """Records without a timestep are compared among themselves: their level of loss does not make them hard."""
    rng = np.random.default_rng(8)
    rows = [
        record(
            path=f"{i % 40}", step=1 + i // 40, timestep=None if i % 2 else 0.95,
            loss=float((9.0 if i % 2 else 1.0) + rng.normal() / 10 + (2.0 if i % 40 in (6, 7) else 0)),
        )
        for i in range(800)
    ]  # fmt: skip
    hard = hard_items(rows, tmp_path)
    assert set(list(hard)[:2]) == {"6", "7"}
    assert hard["6"] > 1.5 < hard["7"]
    assert all(abs(score) < 1 for path, score in hard.items() if path not in ("6", "7"))


def test_pairs_for_some_records_only(tmp_path: Path) -> None:
    """Only records with a finite loss_empty and a caption are pairs; items with 1 to 3 of them are undecided."""
    log = RecordLog(tmp_path)
    pairs = {"none": 0, "few": 3, "enough": 4, "many": 6}
    rows = [
        record(path=path, loss=1.0, step=step, loss_empty=2.0 if step < n else None)
        for path, n in pairs.items()
        for step in range(8)
    ]
    nothing = {"zero": (0.0, 0.0), "nan": (1.0, math.nan), "inf": (1.0, math.inf), "minus": (1.0, -0.5)}
    for path, (loss, empty) in nothing.items():
        rows += [record(path=path, loss=loss, step=step, loss_empty=empty) for step in range(8)]
    rows += [record(path="blank", caption=" \n", loss=1.0, step=step, loss_empty=1.0) for step in range(8)]
    write(log, rows)
    (numbers := run_statistics(log)).advance(8)
    assert {(item.path, item.score, item.count) for item in numbers.worst_caption_mismatch(9)} == {
        ("enough", -2 / 3, 4), ("many", -2 / 3, 6)
    }  # fmt: skip
    counts = numbers.paired_items()["d"]
    assert (counts.decided, counts.undecided, counts.unpaired) == (2, 1, 6)
    unpaired = dict.fromkeys([*nothing, "blank"], 0)
    assert {row["path"]: row["n_paired"] for row in item_rows(numbers)} == pairs | unpaired


def test_every_pair_counts_alike(tmp_path: Path) -> None:
    """Neither high losses nor a loss near zero drown what the others say; the standard error is that of the mean."""
    log = RecordLog(tmp_path)
    pairs = [(0.99, 1.01), (0.011, 0.009), (0.0011, 0.0009), (0.1, 1e-300)]
    write(log, [record(loss=loss, loss_empty=empty, step=step) for step, (loss, empty) in enumerate(pairs)])
    (numbers := run_statistics(log)).advance(4)
    (item,) = numbers.worst_caption_mismatch(9)
    assert item.score == pytest.approx((-0.02 + 0.2 + 0.2 + 2) / 4)
    assert item.standard_error == pytest.approx(np.std([-0.02, 0.2, 0.2, 2], ddof=1) / 2)


def test_a_dropped_caption_is_no_pair(tmp_path: Path) -> None:
    """Caption dropout compares the empty caption with itself, which would make every caption look harmless."""
    log = RecordLog(tmp_path)
    write(
        log,
        [
            record(loss=1.0 if dropped else 1.5, loss_empty=1.0, step=step, caption_dropped=dropped)
            for step, dropped in enumerate([True, False] * 4)
        ],
    )
    (numbers := run_statistics(log)).advance(8)
    (item,) = numbers.worst_caption_mismatch(9)
    assert (item.score, item.count) == (0.4, 4)


def test_the_robust_z_of_a_wrong_caption(tmp_path: Path) -> None:
    """Outliers do not hide each other: (x - median) / (1.4826 MAD) over the dataset's decided items, and NumPy's."""
    rng = np.random.default_rng(11)
    gains = np.append(rng.normal(-0.2, 0.02, 60), [0.1, 0.1, 0.1])
    log = RecordLog(tmp_path)
    write(
        log,
        [
            record(path=f"{i}", dataset=name, loss=2 + float(gain), loss_empty=2 - float(gain), step=step)
            for i, gain in enumerate(gains)
            for step in range(4)
            for name in "ab"[: 1 + (i < 60)]
        ],
    )
    (numbers := run_statistics(log)).advance(4)
    middle = np.median(gains)
    mad = np.median(abs(gains - middle))
    found = {(item.dataset, item.path): item.robust_z for item in numbers.worst_caption_mismatch(999)}
    assert [found["a", f"{i}"] for i in range(63)] == pytest.approx(((gains - middle) / (1.4826 * mad)).tolist())
    assert found["a", "62"] > 10  # type: ignore[operator]
    counts = numbers.paired_items()["a"]
    assert (counts.median, counts.mad) == (pytest.approx(middle), pytest.approx(mad))
    assert found["b", "0"] != found["a", "0"]


# --- windows --------------------------------------------------------------------------------------------------------


def test_recent_means(tmp_path: Path) -> None:
    """Means over windows of steps that end at multiples, the last one where it is asked to; NaN enters none."""
    log = RecordLog(tmp_path)
    write(log, [record(dataset="ab"[step % 2], loss=float(step), step=step) for step in range(12)])
    write(log, [record(dataset="c", loss=math.nan, step=4)])
    numbers = run_statistics(log)
    assert numbers.recent(-1, 11, 5) == [
        (0, {"a": 0.0}),
        (5, {"a": 3.0, "b": 3.0}),
        (10, {"a": 8.0, "b": 8.0}),
        (11, {"b": 11.0}),
    ]
    assert numbers.recent(5, 8, 5) == [(8, {"a": 7.0, "b": 7.0})]
    assert numbers.recent(8, 8, 5) == []


def test_milestones_grow_eightfold_to_the_last_step(tmp_path: Path) -> None:
    """Each milestone has at most an eighth of the next one's records, and half of that at least; the last has all."""
    rows = [record(step=step, path=f"{i}.png", loss=1.0) for step in range(1, 1_001) for i in range(2)]
    log = RecordLog(tmp_path)
    write(log, rows)
    found = run_statistics(log).milestones(10)
    assert found[-1] == (1_000, 2_000)
    assert [records for _, records in found] == [2 * step for step, _ in found]
    for (_, before), (_, after) in itertools.pairwise(found):
        assert after / 16 < before <= after / 8
    assert 10 <= found[0][1] < 160


def test_milestones_of_a_short_log(tmp_path: Path) -> None:
    """A log that is no longer than the first milestone has its end alone."""
    log = RecordLog(tmp_path)
    write(log, [record(step=step, path="a.png", loss=1.0) for step in (3, 7)])
    assert run_statistics(log).milestones(10) == [(7, 2)]


# --- paths that mean something to others ----------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["a[1]*?", "dataset=cats/step=9", 'it\'s "quoted"\nand {odd} ünïcode', "%20$x"])
def test_the_folder_may_have_any_name(tmp_path: Path, folder: str) -> None:
    """A name that looks like a pattern, a partition or a string's end is only a name, next to what it might match."""
    odd = tmp_path / folder
    for place in (odd, tmp_path / "a1xy"):
        place.mkdir(parents=True)
    log = RecordLog(odd)
    write(log, [record(dataset="dogs", step=1)])
    write(log, [record(dataset="dogs", step=2)])
    write(RecordLog(tmp_path / "a1xy"), [record(dataset="others", step=3)])
    numbers = run_statistics(log)
    numbers.advance(9)
    assert {name: summary.count for name, summary in numbers.summaries(1).items()} == {None: 2, "dogs": 2}
    assert [step for step, _ in numbers.recent(0, 9, 1)] == [1, 2]


def test_hostile_names_are_grouped_and_ordered(tmp_path: Path) -> None:
    """Paths and datasets of any text are told apart."""
    names = ["", "\0", "a\0", "a", "'", '"', "猫", "None", "null", "A", "\n"]
    rows = [record(path=name, dataset=name, loss=float(i)) for i, name in enumerate(names)]
    log = RecordLog(tmp_path)
    write(log, rows)
    numbers = run_statistics(log)
    numbers.advance(0)
    summaries = numbers.summaries(1)
    assert {name: summary.mean for name, summary in summaries.items() if name is not None} == {
        name or "unknown": float(i) for i, name in enumerate(names)
    }
    order = [row["dataset"] for row in item_rows(numbers)]
    assert order == [name for name in summaries if name is not None]


@pytest.mark.parametrize("figures_of", ["nothing", "pairs", "pictures"])
def test_the_text_of_items_has_all_that_items_have(tmp_path: Path, figures_of: str) -> None:
    """What is left out of every item is what none of them has."""
    log = RecordLog(tmp_path)
    more = {"loss_empty": 0.4, "loss_rival": 0.3, "rival": "a dog"} if figures_of == "pairs" else {}
    losses = [math.nan, *np.random.default_rng(0).lognormal(-1, 0.3, 160)]
    write(log, [record(path=f"{i % 40}.png", loss=loss, step=i // 8, **more) for i, loss in enumerate(losses)])
    numbers = run_statistics(log, block_steps=100, timestep_scale=1.0)
    numbers.advance(20)
    if figures_of == "pictures":
        for table in ("verdicts", "judged_rows"):
            numbers.cursor().execute(f"UPDATE {table} SET p_wrong = 0.25, picture_odds = 1.5, loss_odds = -1.0")
    texts = [msgspec.json.decode(b"{%b}" % text) for _, text in numbers.item_texts()]
    items = pa.Table.from_batches(numbers.items())
    assert texts == [msgspec.json.decode(b"{%b}" % text) for _, text in item_texts(items.combine_chunks().to_batches())]
    held = {name for text in texts for item in text.values() for name in item}
    assert {"nothing": "non_finite", "pairs": "rival_error", "pictures": "picture_odds"}[figures_of] in held
