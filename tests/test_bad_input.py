"""Bad input, end to end: each is refused in words or handled and shown; none ends a run, none is lost silently."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import HOSTILE, record, strict_json

from loss_logging import LossLogger, aggregate_by_dataset, flag_bad_captions, read_report
from loss_logging.errors import ConfigError, MissingExtraError
from loss_logging.records.columns import table_from_records
from loss_logging.trackers.memory import MemoryBackend

BATCH: dict[str, Any] = {"paths": ["a", "b"], "datasets": "d", "captions": ["a cat on a mat", "a dog in the fog"]}


def make(folder: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "run", "save_root": folder, "loggers": [], "reporter": "inline"}
    return LossLogger(**(defaults | options))


# --- the configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loggers": ["tensorbord"]}, r"loggers\[0\].*'tensorbord' is no known logger; did you mean tensorboard\?"),
        ({"loggers": ["no.such.module:Class"]}, "cannot load 'no.such.module:Class'"),
        ({"loggers": [object()]}, r"loggers\[0\]"),
        ({"job_name": "a/b"}, r"\$.job_name: got 'a/b'"),
        ({"job_name": ".."}, r"\$.job_name: got '\.\.'"),
        ({"job_name": ""}, r"\$.job_name"),
        ({"job_nam": "x"}, "job_nam is no configuration key; did you mean job_name"),
        ({"sample_fraction": 0}, r"\$.sample_fraction: got 0"),
        ({"memory_limit": "lots"}, r"\$.memory_limit: got 'lots'"),
    ],
)
def test_impossible_configurations(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """Refused when the logger is made, naming the key, the value and what is near or allowed; nothing is created."""
    with pytest.raises(ConfigError, match=message):
        make(tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_a_logger_whose_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the pip command."""
    monkeypatch.setattr("loss_logging.support.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs the package wandb; run: pip install .*\[wandb\]"):
        make(tmp_path, loggers=["wandb"])


@pytest.mark.parametrize("kind", ["file", "below a file", "file in the way", "dangling link"])
def test_an_unwritable_save_root(tmp_path: Path, kind: str) -> None:
    """Refused when the logger is made, naming save_root and the reason."""
    root = tmp_path / "root"
    if kind == "file in the way":
        root.mkdir()
        (root / "loss_logging").write_text("mine")
    elif kind == "dangling link":
        root.symlink_to("/proc/nowhere")
    else:
        root.write_text("mine")
    with pytest.raises(ConfigError, match=r"save_root: cannot write to .*root"):
        make(root / "deeper" if kind == "below a file" else root)


@pytest.mark.parametrize(
    "name",
    [
        "a[1]",
        "it's 日本語",
        "x" * 200,
        *(pytest.param(name, marks=pytest.mark.long) for name in ("run*", "{x}", "a b", "100%", "-rf", "$HOME")),
    ],
)
def test_unusual_job_names(tmp_path: Path, name: str) -> None:
    """A job name is a plain file name; none is taken for a pattern."""
    for steps in ((1,), (1, 2)):
        with make(tmp_path, job_name=name, keep_reports=1) as losses:
            losses.resume(0)
            for step in steps:
                losses.log_batch(step, [0.5, 1.0], **BATCH)
                path = losses.save_step(step).result()
        assert path is not None
        assert strict_json(path)["global"]["count"] == 2 * len(steps)
        assert losses.config.report_paths() == [path]


# --- records --------------------------------------------------------------------------------------------------------


MISFITS: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
    ({"paths": ["a", "b", "c"]}, ValueError, "paths has 3 elements but the batch has 2 losses"),
    ({"captions": None}, TypeError, "captions is None"),
    ({"per_example": torch.tensor(0.5)}, ValueError, r"per_example has shape \(\); expected one loss per example"),
    ({"per_example": torch.zeros(2, 4, 8, 8)}, ValueError, r"shape \(2, 4, 8, 8\).*per_example_loss"),
    ({"step": -5}, ValueError, "step is -5"),
    ({"step": 2**70}, ValueError, r"step is 1180591620717411303424; expected 0 or more, up to 2\*\*62"),
    ({"step": 2**62 + 1}, ValueError, r"expected 0 or more, up to 2\*\*62"),
    ({"timesteps": [1]}, ValueError, "timesteps has shape"),
)


@pytest.mark.parametrize(
    ("reporter", "change", "error", "message"),
    [
        *(("inline", *misfit) for misfit in MISFITS),
        ("process", *MISFITS[0]),
        *(pytest.param("process", *misfit, marks=pytest.mark.long) for misfit in MISFITS[1:]),
    ],
)
def test_a_batch_that_does_not_fit(
    tmp_path: Path, reporter: str, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Refused at the call, in words, and the next batch is logged as if nothing had been."""
    good: dict[str, Any] = {"step": 1, "per_example": [0.5, 1.0], **BATCH}
    with make(tmp_path, reporter=reporter) as losses:
        with pytest.raises(error, match=message):
            losses.log_batch(**(good | change))
        losses.log_batch(**good)
        path = losses.save_step(1).result(30)
    assert path is not None
    assert strict_json(path)["global"]["count"] == 2


def test_an_impossible_step_changes_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Wherever a step is given, one that is too large is refused, and what follows is not said to have gone back."""
    with make(tmp_path) as losses:
        with pytest.raises(ValueError, match="up to 2"):
            losses.resume(2**70)
        for call in (
            lambda: losses.log_records(2**70, [record()]),
            lambda: losses.log_records(2**63, table_from_records([record()])),
            lambda: losses.save_step(2**70),
        ):
            with pytest.raises(ValueError, match=r"expected 0 or more, up to 2\*\*62"):
                call()
        losses.log_batch(1, [0.5, 1.0], **BATCH)
        losses.log_batch(2**62, [0.5, 1.0], **BATCH)
        path = losses.save_step(2**62).result()
    assert path is not None
    assert strict_json(path)["global"]["count"] == 4
    assert not recwarn.list


@pytest.mark.parametrize("reporter", ["inline", "process"])
def test_nan_and_infinity(tmp_path: Path, reporter: str) -> None:
    """Counted as non-finite everywhere, and part of no other figure, the scalars of the trackers included."""
    memory = MemoryBackend()
    losses_ = torch.tensor([math.nan, math.inf, -math.inf, 2.0, 4.0])
    batch = {"paths": list("abcde"), "datasets": ["x", "x", "y", "y", "y"], "captions": ["one fine cat"] * 5}
    with make(tmp_path, loggers=[memory], reporter=reporter) as losses:
        losses.log_batch(1, losses_, **batch)
        path = losses.save_step(1).result(30)
    assert path is not None
    data = strict_json(path)
    assert (data["global"]["count"], data["global"]["non_finite"], data["global"]["mean"]) == (5, 3, 3.0)
    nothing = data["datasets"]["x"]["summary"]
    assert (nothing["count"], nothing["non_finite"], nothing["mean"], nothing["max"]) == (2, 2, None, None)
    assert (nothing["histogram"], nothing["top_k"]) == (None, [])
    assert data["datasets"]["x"]["item_stats"]["a"]["average_loss"] is None
    assert data["datasets"]["y"]["summary"]["max"] == 4.0
    (report,) = memory.reports
    assert {name: value for name, value in report.scalars.items() if "/loss/" in name} == {"loss_logging/loss/y": 3.0}
    assert [item.path for item in report.worst.hard] == ["e", "d"]


@pytest.mark.parametrize("reporter", ["inline", "process"])
def test_hostile_texts(tmp_path: Path, reporter: str) -> None:
    """1 MB captions, surrogates, quotes, newlines and NUL in every text come through the whole way."""
    memory = MemoryBackend()
    n = len(HOSTILE)
    with make(tmp_path, loggers=[memory], reporter=reporter) as losses:
        for step in (1, 2):
            losses.log_batch(
                step, torch.arange(n) + 1.0, paths=HOSTILE, datasets=[text[:50] for text in HOSTILE], captions=HOSTILE
            )
        path = losses.save_step(2).result(60)
    assert path is not None
    strict_json(path)
    report = read_report(path)
    for i, text in enumerate(HOSTILE):
        shown, name = (t.encode("utf-8", "backslashreplace").decode() for t in (text, text[:50]))
        item = report.datasets[name].item_stats[shown]
        assert (item.count, item.average_loss, item.caption) == (2, i + 1.0, shown)
    assert memory.reports[0].flagged == report.flagged


def test_missing_texts(tmp_path: Path) -> None:
    """None, numbers and paths for names: counted as unknown, the empty caption, or their text."""
    with make(tmp_path) as losses:
        losses.log_batch(
            1, [1.0, 2.0, 3.0], paths=[Path("x/y.png"), 7, b"raw"], datasets=[None, "", "d"], captions=[None, "", 3]
        )
        path = losses.save_step(1).result()
    assert path is not None
    report = read_report(path)
    assert {name: set(dataset.item_stats) for name, dataset in report.datasets.items()} == {
        "d": {"raw"},
        "unknown": {"7", "x/y.png"},
    }
    assert report.datasets["unknown"].item_stats["x/y.png"].caption == ""


@pytest.mark.parametrize("function", [aggregate_by_dataset, flag_bad_captions])
@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ([{"path": "a"}], ValueError, r"records\[0\] lacks dataset, caption, loss"),
        (["a"], TypeError, r"records\[0\] is a str"),
        ([None], TypeError, r"records\[0\] is a NoneType"),
    ],
)
def test_functions_name_the_broken_record(function: Any, records: Any, error: type[Exception], message: str) -> None:
    """The pure functions name the record that is wrong."""
    with pytest.raises(error, match=message):
        function(records)
