"""loss_logging/evaluation/evaluate.py"""

from __future__ import annotations

import csv
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from helpers import strict_json
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import TrainConfig, aggregate_by_dataset, evaluate_dataset, read_report
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.evaluate import Draw
from loss_logging.reports.report import LossReport
from loss_logging.trackers.memory import MemoryBackend

PATHS = [f"img/{i:03}.png" for i in range(200)]


def loss_of(path: str) -> float:
    """A loss that depends on the item alone."""
    return int(hashlib.sha256(path.encode()).hexdigest()[:6], 16) / 2**24


def batches(paths: list[str], size: int) -> list[dict[str, Any]]:
    return [
        {
            "paths": paths[i : i + size],
            "images": torch.tensor([[loss_of(path)] for path in paths[i : i + size]]),
            "array": np.array([loss_of(path) for path in paths[i : i + size]]),
            "width": 512,
            "name": "x" * len(paths[i : i + size]),
        }
        for i in range(0, len(paths), size)
    ]


def compute(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Reads every kind of value in the batch, so that a wrong selection shows."""
    n = len(batch["paths"])
    assert batch["images"].shape == (n, 1)
    assert batch["array"].shape == (n,)
    assert batch["width"] == 512
    return [
        {"path": path, "dataset": "d", "caption": "c", "loss": float(image[0])}
        for path, image in zip(batch["paths"], batch["images"], strict=True)
    ]


def plain(batch: list[str]) -> list[dict[str, Any]]:
    """For batches that are no mappings."""
    return [{"path": path, "dataset": "d", "caption": "c", "loss": loss_of(path)} for path in batch]


def items(report: LossReport) -> dict[str, float | None]:
    return {
        path: item.average_loss for dataset in report.datasets.values() for path, item in dataset.item_stats.items()
    }


# --- which items ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_sampling_is_by_item(fraction: float) -> None:
    """The same items are taken whatever the batch size, order and form of the batches; about the right share."""
    shuffled = random.Random(1).sample(PATHS, len(PATHS))
    options: dict[str, Any] = {"sample_fraction": fraction, "progress": False, "seed": 3}
    first = items(evaluate_dataset(compute, batches(PATHS, 16), **options))
    assert len(first) == pytest.approx(200 * fraction, abs=4 * (200 * fraction * (1 - fraction)) ** 0.5)
    assert first == pytest.approx({path: loss_of(path) for path in first})
    for paths, size in ((shuffled, 16), (shuffled, 1), (PATHS, 200)):
        assert items(evaluate_dataset(compute, batches(paths, size), **options)) == first
    lists = [shuffled[i : i + 7] for i in range(0, 200, 7)]
    assert items(evaluate_dataset(plain, lists, **options)) == pytest.approx(first)
    if fraction < 1:
        assert items(evaluate_dataset(compute, batches(PATHS, 16), **(options | {"seed": 4}))) != first


@pytest.mark.parametrize("form", ["mappings", "lists"])
def test_max_samples(form: str) -> None:
    """The first items that come, no more batches than needed, and the model never sees more; repeats count once."""
    seen: list[str] = []

    def watch(batch: Any) -> Any:
        names = batch["paths"] if form == "mappings" else batch
        seen.extend(names)
        return plain(names)

    def loader() -> Iterator[Any]:
        for i in range(100):
            assert i < 4, "one batch too many"
            names = [f"{i // 2}-{j}" for j in range(8)]
            yield {"paths": names} if form == "mappings" else names

    report = evaluate_dataset(watch, loader(), max_samples=12, progress=False)
    assert list(items(report)) == [f"0-{j}" for j in range(8)] + [f"1-{j}" for j in range(4)]
    if form == "mappings":
        assert len(seen) == 8 + 8 + 4


@settings(deadline=None, max_examples=10)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_repeated_items(paths: list[str]) -> None:
    """An item that comes several times, in a batch or over several, has as many records."""
    for size in (1, 3):
        chunks = [{"paths": paths[i : i + size]} for i in range(0, len(paths), size)]
        report = evaluate_dataset(lambda batch: plain(batch["paths"]), chunks, progress=False)
        counts = {path: item.count for path, item in report.datasets["d"].item_stats.items()}
        assert counts == Counter(paths)


# One image twice, with captions and losses of its own, and others before, between and after.
CAPTIONS = [("a", "one", 4.0), ("x", "first", 1.0), ("y", "one", 3.0), ("x", "second", 2.5), ("z", "one", 6.0)]


def captions(order: int = 1, size: int = 2) -> list[dict[str, Any]]:
    """In batches, forwards (1) or backwards (-1)."""
    rows = CAPTIONS[::order]
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [dict(zip(("path", "caption", "given"), map(list, zip(*part, strict=True)), strict=True)) for part in parts]


class Given:
    """The losses that the batches bring; interrupted instead of the call of this number."""

    def __init__(self, interrupted_at: int | None = None) -> None:
        self.interrupted_at = interrupted_at
        self.asked: list[str] = []
        self._calls = 0

    def __call__(self, batch: dict[str, Any], draw: Draw) -> list[dict[str, Any]]:
        self._calls += 1
        if self._calls == self.interrupted_at:
            raise KeyboardInterrupt
        self.asked += batch["path"]
        return [
            {"path": path, "dataset": "d", "caption": caption, "loss": loss + draw.index / 8}
            for path, caption, loss in zip(batch["path"], batch["caption"], batch["given"], strict=True)
        ]


def interrupted(root: Path, at: int, size: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate_dataset(Given(at), captions(size=size), save_root=root, draws=2, progress=False)


@pytest.mark.parametrize(("size", "at", "order"), [(1, 4, -1), (1, 8, 1), (1, 8, -1), (2, 4, 1), (2, 4, -1)])
def test_repeated_items_after_an_interruption(tmp_path: Path, size: int, at: int, order: int) -> None:
    """The figures are those of a run that nothing interrupted, in whatever order the items come this time."""
    interrupted(tmp_path, at, size)
    resumed, clean = Given(), Given()
    report = evaluate_dataset(resumed, captions(order), save_root=tmp_path, draws=2, progress=False)
    expected = evaluate_dataset(clean, captions(order), draws=2, progress=False)
    assert report.datasets["d"] == expected.datasets["d"]
    assert report.datasets["d"].item_stats["x"].count == 4
    assert resumed.asked.count("a") == 0  # what comes once is kept


class Once:
    """A loader that can be read once, and does not look like it."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = iter(batches)

    def __iter__(self) -> Iterator[Any]:
        return self._batches


@pytest.mark.parametrize("once", [iter, Once])
def test_repeated_items_of_an_iterator_after_an_interruption(tmp_path: Path, once: Any) -> None:
    """It cannot be read again: what to do is said, and done by the next call, which computes these items alone."""
    interrupted(tmp_path, 5, 1)
    with pytest.raises(LossLoggingError, match=r"gave 1 of its items once only, 'x' among them.* or give a dataloader"):
        evaluate_dataset(Given(), once(captions(-1)), save_root=tmp_path, draws=2, progress=False)
    last = Given()
    report = evaluate_dataset(last, once(captions(-1)), save_root=tmp_path, draws=2, progress=False)
    assert report.datasets["d"] == evaluate_dataset(Given(), captions(-1), draws=2, progress=False).datasets["d"]
    assert last.asked == ["x"] * 4


@pytest.mark.parametrize("loader", [[], [{"paths": []}], [[]]])
def test_nothing_to_evaluate(loader: list[Any]) -> None:
    """An empty dataset gives an empty report."""
    report = evaluate_dataset(lambda _: [], loader, progress=False)
    assert report.global_.count == 0
    assert report.datasets == {}


@pytest.mark.parametrize("key", ["path", "paths"])
def test_paths_of_other_types(key: str) -> None:
    """Path objects identify items as their text does."""
    chunk = {key: [Path("a"), Path("b")], "image": [1.0, 2.0]}

    def echo(batch: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"path": p, "dataset": "d", "caption": "c", "loss": x}
            for p, x in zip(batch[key], batch["image"], strict=True)
        ]

    assert items(evaluate_dataset(echo, [chunk], progress=False)) == {"a": 1.0, "b": 2.0}
    assert items(evaluate_dataset(echo, [chunk], max_samples=1, progress=False)) == {"a": 1.0}


# --- what a compute function may get wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], r"returned 1 records for a batch of 2 items.*Missing: \['b'\]"),
        (lambda rows: rows + rows[:1], r"returned 3 records for a batch of 2 items.*not in the batch: \['a'\]"),
        (lambda rows: [rows[0], rows[1] | {"path": "z"}], r"Missing: \['b'\]; not in the batch: \['z'\]"),
        (lambda rows: [], "returned 0 records for a batch of 2 items"),
        (lambda rows: [{"path": "a"}], r"records\[0\] lacks dataset, caption, loss"),
        (lambda rows: [rows[0] | {"loss": "x"}, rows[1]], r"records\[0\].loss is 'x'"),
    ],
)
def test_wrong_records_are_named(change: Callable[[Any], Any], message: str) -> None:
    """Too few, too many, other or broken records raise; nothing is silently left out."""
    with pytest.raises(ValueError, match=message):
        evaluate_dataset(lambda batch: change(plain(batch["paths"])), [{"paths": ["a", "b"]}], progress=False)


def test_paired_needs_loss_empty() -> None:
    """With paired=True a record without loss_empty raises and is named; with it, caption_mismatch comes out."""
    chunk = [{"paths": ["a", "b"]}]
    with pytest.raises(ValueError, match="paired=True, but the record of 'b' has no loss_empty"):
        evaluate_dataset(
            lambda _: [row | ({"loss_empty": 1.0} if row["path"] == "a" else {}) for row in plain(["a", "b"])],
            chunk,
            paired=True,
            progress=False,
        )

    def pairs(batch: dict[str, Any], draw: Draw) -> list[dict[str, Any]]:
        return [row | {"loss": 1.5, "loss_empty": 1.0 + (row["path"] == "b")} for row in plain(batch["paths"])]

    report = evaluate_dataset(pairs, chunk, paired=True, draws=4, progress=False)
    found = [(item.path, item.score, item.count) for item in report.worst.caption_mismatch]
    assert found == [("a", 0.4, 4), ("b", pytest.approx(-2 / 7), 4)]


def test_the_errors_of_the_model_come_out(tmp_path: Path) -> None:
    """An exception in compute_fn is the caller's; threads and the temporary folder are gone; a second try works."""

    def broken(_: Any) -> Any:
        raise RuntimeError("out of memory")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            evaluate_dataset(broken, [{"paths": ["a"]}], save_root=tmp_path, progress=False)
    assert evaluate_dataset(plain, [["a"]], save_root=tmp_path, progress=False).global_.count == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], r"returned 1 records for a batch of 2 items.*Missing: \['b'\]"),
        (lambda rows: [rows[0], rows[1] | {"path": "z"}], r"Missing: \['b'\]; not in the batch: \['z'\]"),
    ],
)
def test_each_draw_is_of_the_same_items(change: Callable[[Any], Any], message: str) -> None:
    """Where a batch does not say what its items are, a draw with other records than the first one's raises."""

    def forgets(batch: list[str], draw: Draw) -> Any:
        return plain(batch) if draw.index == 0 else change(plain(batch))

    with pytest.raises(ValueError, match=message):
        evaluate_dataset(forgets, [["a", "b"]], draws=2, progress=False)


def test_records_in_another_order() -> None:
    """A record says what it is about: the order in which a call returns them changes nothing."""

    def shuffles(batch: dict[str, Any], draw: Draw) -> Any:
        rows = [row | {"loss_empty": 0.5, "timestep": draw.index / 4} for row in plain(batch["paths"])]
        return random.Random(len(batch["paths"]) * draw.index).sample(rows, len(rows))

    def in_order(batch: dict[str, Any], draw: Draw) -> Any:
        return sorted(shuffles(batch, draw), key=lambda row: batch["paths"].index(row["path"]))

    first, second = (
        evaluate_dataset(fn, batches(PATHS, 16), draws=4, paired=True, progress=False) for fn in (shuffles, in_order)
    )
    assert first.datasets == second.datasets
    assert (first.worst, first.global_) == (second.worst, second.global_)


@pytest.mark.parametrize(("draws", "decided"), [(1, 0), (3, 0), (4, 200)])
def test_few_draws_are_said_to_decide_nothing(draws: int, decided: int) -> None:
    """Items with fewer than 4 pairs are counted as undecided, and an empty ranking does not pass for a good one."""

    def pairs(batch: dict[str, Any], draw: Draw) -> Any:
        return [row | {"loss_empty": 0.5} for row in plain(batch["paths"])]

    report = evaluate_dataset(pairs, batches(PATHS, 50), draws=draws, paired=True, progress=False)
    counts = report.datasets["d"].paired_items
    assert counts is not None
    assert (counts.decided, counts.undecided, counts.unpaired) == (decided, 200 - decided, 0)
    assert bool(report.worst.caption_mismatch) == bool(decided)
    (sentence,) = report.warnings or [""]
    assert ("200 have paired records, but none the 4 that it takes" in sentence) == (not decided)
    table = report.tables["loss_logging/paired_items"]
    assert table.rows[0][:4] == ["d", decided, 200 - decided, 0]
    item = report.datasets["d"].item_stats[PATHS[0]]
    assert item.n_paired == draws
    assert (item.robust_z is None) == (not decided)


def test_an_evaluation_of_one_item() -> None:
    """Nothing to compare it with is no error."""
    report = evaluate_dataset(
        lambda batch: [row | {"loss_empty": 1.0} for row in plain(batch)], [["a"]], progress=False
    )
    assert report.datasets["d"].item_stats["a"].hard is None
    assert report.worst.hard == report.worst.caption_mismatch == []


def test_negative_timesteps_are_said_to_be(tmp_path: Path) -> None:
    """A timestep outside the scale counts to the nearest bin, and the report says how many there are."""

    def negative(batch: list[str]) -> Any:
        return [row | {"timestep": -1.0} for row in plain(batch)]

    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[], timestep_scale=1)
    report = evaluate_dataset(negative, [["a", "b"]], progress=False, config=config)
    assert report.warnings == [
        "2 timesteps lie outside 0 to 1 and count to the nearest bin; set timestep_scale in the configuration"
    ]


# --- draws ----------------------------------------------------------------------------------------------------------


def test_draws_depend_on_the_item_alone() -> None:
    """Timesteps and noise are the same for an item in any batch and order, and differ between items, draws, seeds."""
    draw = Draw(seed=1, index=2, count=4)
    names = PATHS[:20]
    timesteps, noise = draw.timesteps(names), draw.noise((3, 2), names)
    assert timesteps.dtype == noise.dtype == torch.float32
    assert timesteps.shape == (20,)
    assert noise.shape == (20, 3, 2)
    order = random.Random(0).sample(range(20), 20)
    mixed = [names[i] for i in order]
    assert torch.equal(draw.timesteps(mixed), timesteps[order])
    assert torch.equal(draw.noise((3, 2), mixed), noise[order])
    assert torch.equal(draw.noise((3, 2), names[5:6])[0], noise[5])
    torch.manual_seed(5)
    assert torch.equal(Draw(1, 2, 4).noise((3, 2), names), noise)
    for other in (Draw(2, 2, 4), Draw(1, 3, 4)):
        assert not torch.isclose(other.noise((3, 2), names), noise).any()
        assert not torch.isclose(other.timesteps(names) % 0.25, timesteps % 0.25, atol=1e-6).any()
    assert len(set(timesteps.tolist())) == 20
    assert draw.noise((), ["a", "\ud800"]).shape == (2,)


def test_draws_leave_the_global_generator_alone() -> None:
    """Evaluation in the middle of training does not change what training draws next."""
    state = torch.get_rng_state()
    Draw(0, 0, 1).noise((4,), ["a"])
    Draw(0, 0, 1).timesteps(["a"])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_draws_are_stratified(count: int) -> None:
    """Draw i of n lies in its n-th of [0, 1) for every item, evenly within it; the noise is standard normal."""
    for index in (0, count // 2, count - 1):
        timesteps = Draw(0, index, count).timesteps(PATHS * 5).numpy()
        assert (timesteps >= np.float32(index / count)).all()
        assert (timesteps < np.float32((index + 1) / count)).all()
        inside = timesteps * count - index
        assert inside.mean() == pytest.approx(0.5, abs=0.1)
    noise = Draw(0, 0, 1).noise((50,), PATHS)
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)


def test_every_item_gets_every_draw() -> None:
    """A compute function with a ``draw`` parameter is called once per draw and batch; numbers ignore the batching."""
    calls: list[int] = []

    def drawn(batch: dict[str, Any], draw: Draw) -> list[dict[str, Any]]:
        calls.append(draw.index)
        assert draw.count == 3
        timesteps = draw.timesteps(batch["paths"]).tolist()
        return [row | {"loss": t, "timestep": t} for row, t in zip(plain(batch["paths"]), timesteps, strict=True)]

    reports = [evaluate_dataset(drawn, batches(PATHS, size), draws=3, progress=False) for size in (100, 33)]
    assert calls == [0, 1, 2] * (2 + 7)
    assert items(reports[0]) == pytest.approx(items(reports[1]))
    assert reports[0].global_.count == 600
    curve = reports[0].global_.loss_by_timestep
    assert curve is not None
    assert min(curve.counts) > 10


# --- where it goes --------------------------------------------------------------------------------------------------


def test_outputs_agree(tmp_path: Path) -> None:
    """The returned report, out_json, out_csv and save_root say the same; the figures are the aggregates'."""
    report = evaluate_dataset(
        compute, batches(PATHS, 16), job_name="eval", step=7, save_root=tmp_path / "runs",
        out_csv=tmp_path / "items.csv", out_json=tmp_path / "report.json", progress=False,
    )  # fmt: skip
    assert report.json_path == str(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    kept = tmp_path / "runs" / "loss_logging" / "eval_000000007.json"
    assert strict_json(kept) == strict_json(tmp_path / "report.json")
    assert (report.job.name, report.job.step) == ("eval", 7)
    with (tmp_path / "items.csv").open(encoding="utf-8", newline="") as file:
        assert {row["path"]: float(row["average_loss"]) for row in csv.DictReader(file)} == items(report)
    expected = aggregate_by_dataset(plain(PATHS)).overall
    assert report.global_.mean == pytest.approx(expected.mean)
    assert report.global_.quantiles == pytest.approx(expected.quantiles)


def test_nothing_is_kept_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without save_root the run's folder is temporary, and gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert evaluate_dataset(plain, [["a"]], progress=False).global_.count == 1
    assert list(tmp_path.iterdir()) == []


def test_a_config_decides_the_rest(tmp_path: Path) -> None:
    """Loggers, caption rules, sizes and names come from the config; job_name and save_root override it."""
    memory = MemoryBackend()
    config = TrainConfig(job_name="train", save_root=tmp_path / "a", loggers=[memory], top_k=2, prefix="quality")
    report = evaluate_dataset(
        compute, batches(PATHS, 16), config=config, job_name="eval", save_root=tmp_path / "b", progress=False
    )
    assert len(report.global_.top_k) == 2
    assert (tmp_path / "b" / "loss_logging" / "eval_000000000.json").exists()
    assert not (tmp_path / "a").exists()
    (written,) = memory.reports
    assert written.global_ == report.global_
    assert written.scalars["quality/loss/d"] == pytest.approx(report.global_.mean)
    assert memory.closed


def test_a_config_that_is_off(tmp_path: Path) -> None:
    """Evaluating with everything off is a mistake, and said to be one."""
    config = TrainConfig(job_name="x", save_root=tmp_path, log_per_example=False, log_per_dataset=False)
    with pytest.raises(ConfigError, match="log_per_example and log_per_dataset"):
        evaluate_dataset(plain, [["a"]], config=config, progress=False)


def test_evaluating_with_the_runs_config_leaves_the_run_alone(tmp_path: Path) -> None:
    """The records and reports of the training run are still where they were."""
    from loss_logging import LossLogger

    config = TrainConfig(job_name="train", save_root=tmp_path, loggers=[], reporter="inline")
    with LossLogger(config) as losses:
        losses.log_batch(5, [0.5], paths=["a"], datasets="d", captions=["c"])
        path = losses.save_step(5).result()
    assert path is not None
    evaluate_dataset(plain, [["a"]], config=config, step=5, progress=False)
    assert read_report(path).datasets["d"].item_stats["a"].average_loss == 0.5


def test_evaluations_at_several_steps_stay(tmp_path: Path) -> None:
    """Each step's report stays where it is, and holds the records of its own evaluation alone."""
    for step in (5, 9, 7):
        report = evaluate_dataset(plain, [["a", "b"]], save_root=tmp_path, step=step, progress=False)
        assert report.global_.count == 2
    assert sorted(path.name[-6:-5] for path in (tmp_path / "loss_logging").glob("*.json")) == ["5", "7", "9"]


def test_evaluation_under_the_name_of_a_run_is_refused(tmp_path: Path) -> None:
    """An evaluation never clears the records of a training run."""
    from loss_logging import LossLogger
    from loss_logging.errors import LossLoggingError

    with LossLogger(job_name="train", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(5, [0.5], paths=["a"], datasets="d", captions=["c"])
    with pytest.raises(LossLoggingError, match="holds a training run named 'train'"):
        evaluate_dataset(plain, [["a"]], save_root=tmp_path, job_name="train", progress=False)
    assert losses.config.records_dir.glob("rank*.parquet")


@pytest.mark.parametrize("shown", [True, False])
def test_progress_on_standard_error_only_when_asked(shown: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """A bar on stderr, or not a character anywhere."""
    evaluate_dataset(compute, batches(PATHS, 50), progress=shown)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("200/200" in err and "item" in err) if shown else err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_fraction": 0}, "sample_fraction is 0; allowed: above 0 and up to 1"),
        ({"sample_fraction": 1.5}, "sample_fraction is 1.5"),
        ({"sample_fraction": float("nan")}, "sample_fraction is nan"),
        ({"max_samples": 0}, "max_samples is 0; allowed: None, or 1 and more"),
        ({"draws": 0}, "draws is 0; allowed: 1 and more"),
        ({"draws": 2}, "draws is 2 but compute_fn has no parameter 'draw'"),
        ({"engine": "spark"}, "engine: there is no engine 'spark'; allowed: 'local', 'ray'"),
        ({"job_name": "a/b"}, r"\$.job_name"),
    ],
)
def test_impossible_arguments(options: dict[str, Any], message: str) -> None:
    """The error names the argument, its value and what is allowed, before the first batch is touched."""

    def untouched() -> Iterator[Any]:
        raise AssertionError("the loader was asked")
        yield

    loader: Iterable[Any] = untouched()
    with pytest.raises(ConfigError, match=message):
        evaluate_dataset(plain, loader, progress=False, **options)


def test_a_negative_step() -> None:
    """The step is checked like everywhere else."""
    with pytest.raises(ValueError, match="step is -1; expected 0 or more"):
        evaluate_dataset(plain, [["a"]], step=-1, progress=False)


def test_the_report_is_plain_data() -> None:
    """What comes back can be encoded again."""
    assert msgspec.json.encode(evaluate_dataset(plain, [["a"]], progress=False))
