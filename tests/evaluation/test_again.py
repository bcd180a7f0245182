"""loss_logging.evaluation.again: a part of the items is computed anew, and the figures of the others are kept"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from loss_logging import evaluate_dataset, read_report
from loss_logging.captions.decisions import Decisions
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.again import Only, check_only, read_paths
from loss_logging.evaluation.draw import Draw
from loss_logging.records.log import RecordLog
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.paths import RunPaths

Rows = dict[str, str]


class Model:
    """Losses that depend on the image, the draw's timestep and noise, and the caption; notes what it is asked for."""

    def __init__(self, interrupted_at: str = "") -> None:
        self.asked: list[str] = []
        self._interrupted_at = interrupted_at

    def __call__(self, batch: dict[str, Any], draw: Draw) -> list[dict[str, Any]]:
        if self._interrupted_at in batch["paths"]:
            raise KeyboardInterrupt
        self.asked += batch["paths"]
        times, noise = draw.timesteps(batch["paths"]), draw.noise((8,), batch["paths"])
        rows = zip(batch["paths"], batch["datasets"], batch["captions"], times, noise, strict=True)
        return [
            {
                "path": path,
                "dataset": dataset,
                "caption": caption,
                "timestep": float(t),
                "loss": float((x + len(caption) * t).square().mean()),
                "loss_empty": float(x.square().mean()),
            }
            for path, dataset, caption, t, x in rows
        ]


ROWS = {f"{name}/{i}.png": f"a {name} number {i}" for name in ("cat", "dog") for i in range(6)}


def loader(rows: Rows, size: int = 4, *more: tuple[str, str]) -> list[dict[str, Any]]:
    pairs = [*rows.items(), *more]
    parts = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    return [
        {"paths": [p for p, _ in part], "datasets": [p[:3] for p, _ in part], "captions": [c for _, c in part]}
        for part in parts
    ]


def evaluated(root: Path, batches: Any, model: Any = None, only: Only | None = None, **options: Any) -> LossReport:
    given = {"draws": 4, "paired": True, "model_id": "tiny", "progress": False} | options
    return evaluate_dataset(model or Model(), batches, save_root=root, only=only, **given)


def items(report: LossReport) -> dict[str, Any]:
    return {path: item for dataset in report.datasets.values() for path, item in dataset.item_stats.items()}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The save_root of an evaluation; nobody changes it."""
    root = tmp_path_factory.mktemp("before")
    evaluated(root, loader(ROWS))
    return root


@pytest.fixture
def root(before: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(before, tmp_path / "root")
    return tmp_path / "root"


@pytest.mark.parametrize("size", [5, pytest.param(1, marks=pytest.mark.long)])
def test_changed(root: Path, tmp_path: Path, size: int) -> None:
    """Only captions that changed and new items are computed; every figure is that of a whole evaluation."""
    rows = ROWS | {"cat/2.png": "a lynx in the snow", "dog/9.png": "a new one"}
    model = Model()
    report = evaluated(root, loader(rows, size), model, "changed", step=7)
    assert sorted(set(model.asked)) == ["cat/2.png", "dog/9.png"]
    whole = evaluated(tmp_path / "whole", loader(rows), step=7)
    assert report.datasets == whole.datasets
    assert (report.global_, report.verdicts, report.worst) == (whole.global_, whole.verdicts, whole.worst)
    assert re.fullmatch(
        r"2 of 13 items were computed again \(cat/2\.png, dog/9\.png\); 11 have the figures of \S+",
        report.warnings[0],
    )
    again = Model()
    assert evaluated(root, loader(rows), again, "changed", step=7).datasets == whole.datasets
    assert again.asked == []


def test_nothing_changed(root: Path) -> None:
    """The report says so, and is otherwise the same."""
    model = Model()
    earlier = read_report(RunPaths(root, "evaluation").report(0))
    report = evaluated(root, loader(ROWS), model, "changed")
    assert model.asked == []
    assert report.datasets == earlier.datasets
    assert report.warnings[0].startswith(
        "0 of 12 items were computed again, as no caption has changed; 12 have the figures of "
    )


def test_an_item_is_gone(root: Path) -> None:
    """It is left out and named."""
    rows = {path: caption for path, caption in ROWS.items() if path != "dog/3.png"}
    report = evaluated(root, loader(rows), None, "changed")
    assert set(items(report)) == set(rows)
    assert report.warnings[1] == "left out, as no more in the dataset: 1 item of the last report (dog/3.png)"


def test_each_caption_of_several_counts_by_itself(tmp_path: Path) -> None:
    """Of an image with two captions, one of which changed, that one is computed; twice the same one is kept twice."""
    first = loader(ROWS, 3, ("cat/1.png", "another"), ("dog/1.png", ROWS["dog/1.png"]))
    evaluated(tmp_path / "a", first)
    second = loader(ROWS, 5, ("cat/1.png", "a third"), ("dog/1.png", ROWS["dog/1.png"]))
    model = Model()
    report = evaluated(tmp_path / "a", second, model, "changed")
    assert model.asked == ["cat/1.png"] * 4
    assert items(report)["dog/1.png"].count == 8
    assert report.datasets == evaluated(tmp_path / "b", second).datasets


def test_batches_that_do_not_say_their_dataset(root: Path, tmp_path: Path) -> None:
    """Then the path alone tells which item it is."""

    def nameless(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"paths": batch["paths"], "captions": batch["captions"]} for batch in batches]

    class Named(Model):
        def __call__(self, batch: dict[str, Any], draw: Draw) -> list[dict[str, Any]]:
            return super().__call__(batch | {"datasets": [path[:3] for path in batch["paths"]]}, draw)

    rows = ROWS | {"cat/2.png": "a lynx"}
    model = Named()
    report = evaluated(root, nameless(loader(rows)), model, "changed")
    assert set(model.asked) == {"cat/2.png"}
    assert report.datasets == evaluated(tmp_path / "whole", loader(rows)).datasets
    assert not any("left out" in sentence for sentence in report.warnings)


def test_paths(root: Path) -> None:
    """Those that are listed are computed, changed or not; others keep figures and caption; what is new is left out."""
    rows = ROWS | {"cat/2.png": "a lynx", "dog/9.png": "a new one", "dog/4.png": "a wolf"}
    old = items(read_report(RunPaths(root, "evaluation").report(0)))
    model = Model()
    report = evaluated(root, loader(rows), model, ["cat/1.png", "dog/4.png", "dog/no.png"])
    assert set(model.asked) == {"cat/1.png", "dog/4.png"}
    captions = {path: item.caption for path, item in items(report).items()}
    assert captions == ROWS | {"dog/4.png": "a wolf"}
    assert items(report)["cat/2.png"].average_loss == old["cat/2.png"].average_loss
    assert report.warnings[1:3] == [
        "left out, as new and not among those to compute: 1 item (dog/9.png)",
        "1 of the 3 paths to compute again are in no dataset: dog/no.png",
    ]


def test_no_path_is_in_the_dataset(root: Path) -> None:
    """It is refused, and the report of before stays what can be kept."""
    with pytest.raises(LossLoggingError, match=r"only: 1 of the 1 paths to compute again .*: cat/1\.jpg; write"):
        evaluated(root, loader(ROWS), None, ["cat/1.jpg"])
    model = Model()
    evaluated(root, loader(ROWS), model, "changed")
    assert model.asked == []


def test_excluded(root: Path, tmp_path: Path) -> None:
    """What a decision excludes is computed, wherever the images are."""
    (tmp_path / "images" / "cat").mkdir(parents=True)
    Decisions(tmp_path / "images").decide("cat/3.png", "exclude")
    model = Model()
    config = TrainConfig(job_name="evaluation", save_root=root, loggers=[], images=tmp_path / "images")
    evaluate_dataset(
        model,
        loader(ROWS),
        draws=4,
        paired=True,
        model_id="tiny",
        config=config,
        job_name="evaluation",
        only="excluded",
        progress=False,
    )
    assert set(model.asked) == {"cat/3.png"}


def test_interrupted(root: Path, tmp_path: Path) -> None:
    """It goes on where it was, and a whole evaluation that was interrupted in between takes nothing away."""
    rows = ROWS | {"cat/2.png": "a lynx", "dog/5.png": "a wolf"}
    with pytest.raises(KeyboardInterrupt):
        evaluated(root, loader(rows), Model("dog/5.png"), "changed")
    model = Model()
    report = evaluated(root, loader(rows), model, "changed")
    assert set(model.asked) == {"dog/5.png"}
    assert report.datasets == evaluated(tmp_path / "whole", loader(rows)).datasets
    with pytest.raises(KeyboardInterrupt):
        evaluated(root, loader(ROWS), Model("dog/5.png"))
    model = Model()
    assert evaluated(root, loader(rows), model, "changed").datasets == report.datasets
    assert model.asked == []


def test_ended_while_the_log_was_replaced(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures that are kept are still there for the next call."""
    rows = ROWS | {"cat/2.png": "a lynx"}

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("loss_logging.evaluation.evaluate.read_report", ended)
        evaluated(root, loader(rows), None, "changed")
    RecordLog(RunPaths(root, "evaluation").records).truncate(-1)
    model = Model()
    report = evaluated(root, loader(rows), model, "changed")
    assert model.asked == []
    assert report.datasets == evaluated(tmp_path / "whole", loader(rows)).datasets


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_id": "large"}, "model_id was 'tiny' and is 'large'.*evaluate everything, without only"),
        ({"draws": 8}, "draws was 4 and is 8"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"only": "unchanged"}, "only is 'unchanged'; allowed: \"changed\""),
        ({"only": []}, "only is an empty collection"),
        ({"engine": "ray"}, "leave engine out"),
    ],
)
def test_refused(root: Path, options: dict[str, Any], message: str) -> None:
    """Figures of another model or setting are not kept beside new ones; what to do is said."""
    with pytest.raises(ConfigError, match=message):
        evaluated(root, loader(ROWS), **{"only": "changed"} | options)


def test_no_earlier_report(tmp_path: Path) -> None:
    """Without a finished evaluation, or a place where it would be, there is nothing to keep."""
    with pytest.raises(LossLoggingError, match=r"no finished evaluation named 'evaluation'.*evaluate everything once"):
        evaluated(tmp_path, loader(ROWS), only="changed")
    with pytest.raises(ConfigError, match="without a save_root"):
        evaluate_dataset(Model(), loader(ROWS), only="changed", progress=False)


@pytest.mark.parametrize(
    ("batches", "message"), [([[1]], "batches that are mappings"), ([{"paths": ["a"]}], "needs the caption of each")]
)
def test_batches_that_say_too_little(root: Path, batches: Any, message: str) -> None:
    """Nothing tells then what changed."""
    with pytest.raises(ConfigError, match=message):
        evaluated(root, batches, only="changed")


def test_a_file_of_paths(tmp_path: Path) -> None:
    """A path a line, as in any list, with remarks; one that is not there, or empty, is named with what is allowed."""
    (tmp_path / "paths").write_bytes("\ufeffä/1.png\r\n\nb c.png\n".encode())
    assert check_only(read_paths(tmp_path / "paths")) == {"ä/1.png", "b c.png"}
    (tmp_path / "paths").write_text("# hard:\n./#1.png\na\u2028b.png\n./2.png\n", "utf-16")
    assert check_only(read_paths(tmp_path / "paths")) == {"#1.png", "a\u2028b.png", "./2.png"}
    with pytest.raises(ConfigError, match=r"only: unchanged cannot be read \(No such .*\); allowed: changed"):
        read_paths(Path("unchanged"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty; allowed"):
        read_paths(tmp_path / "empty")
