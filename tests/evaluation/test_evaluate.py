"""loss_logging/evaluation/evaluate.py"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from evaluated import PATHS, batches, compute, items, plain
from helpers import examples, strict_json
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import TrainConfig, aggregate_by_dataset, evaluate_dataset, read_report
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.evaluate import Draw
from loss_logging.trackers.memory import MemoryBackend

# --- which items ----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=examples(10))
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_repeated_items(paths: list[str]) -> None:
    """An item that comes several times, in a batch or over several, has as many records."""
    for size in (1, 3):
        chunks = [{"paths": paths[i : i + size]} for i in range(0, len(paths), size)]
        report = evaluate_dataset(lambda batch: plain(batch["paths"]), chunks, progress=False)
        counts = {path: item.count for path, item in report.datasets["d"].item_stats.items()}
        assert counts == Counter(paths)


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


# --- draws ----------------------------------------------------------------------------------------------------------


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

    with LossLogger(job_name="train", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(5, [0.5], paths=["a"], datasets="d", captions=["c"])
    with pytest.raises(LossLoggingError, match="holds a training run named 'train'"):
        evaluate_dataset(plain, [["a"]], save_root=tmp_path, job_name="train", progress=False)
    assert losses.config.records_dir.glob("rank*.parquet")


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
