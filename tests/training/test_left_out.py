"""loss_logging/training/logger.py: what a person excludes is not trained on, and every report says how much that is."""

from __future__ import annotations

import zlib
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile, Decisions
from loss_logging.cli.tables.report import print_report
from loss_logging.errors import ConfigError
from loss_logging.records.log import RecordLog
from loss_logging.reports.artifact import read_without_items
from loss_logging.training.late_report import make_report


class Photos(Dataset[Any]):
    """Images of a folder, made from their names."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(map(str, folder.glob("*.png")))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor]:
        seed = torch.Generator().manual_seed(zlib.crc32(Path(self.paths[index]).name.encode()))
        return self.paths[index], torch.randn(4, generator=seed)


def photos(folder: Path, names: str = "0123456") -> Path:
    """As many images."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.png").touch()
    return folder


def train(folder: Path, config: TrainConfig | None, *, asks: bool = True) -> dict[str, torch.Tensor]:
    """A plain loop of two epochs; the weights. Without a configuration it is one that knows nothing of us."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    losses = None if config is None else LossLogger(config)
    dataset: Dataset[Any] = Photos(folder)
    if losses is not None and asks:
        dataset = losses.exclusions.subset(dataset, Photos(folder).paths, "photos")
    step = 0
    for _ in range(2):
        for paths, images in DataLoader(dataset, batch_size=2, shuffle=True):
            step += 1
            loss = (model(images) - images).square().mean(1)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            if losses is not None:
                losses.log_batch(step, loss, paths=paths, datasets="photos", captions=["a photo"] * len(paths))
    if losses is not None:
        losses.save_step(step).result(60)
        losses.close()
    return model.state_dict()


def config(root: Path, **options: Any) -> TrainConfig:
    """Of a run named "run"."""
    return TrainConfig(**{"job_name": "run", "save_root": root, "loggers": [], "reporter": "inline", **options})


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """To the bit."""
    return all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def logged(run: TrainConfig) -> set[str]:
    """The names of the images in the log."""
    return {Path(path).name for path in RecordLog(run.records_dir).read()["path"].to_pylist()}


def test_from_a_decision_to_the_next_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Train, exclude an image as the page does, train again: it has no record, one is left out, and the weights are
    those of a folder without it."""
    folder, run = photos(tmp_path / "photos"), config(tmp_path / "run", reporter="process")
    first = train(folder, run)
    assert same(first, train(folder, None))
    assert "3.png" in logged(run)
    assert read_report(run.report_paths()[-1]).excluded == {}

    Decisions(own=run.paths.decisions).decide(str(folder / "3.png"), "exclude", why="blurred")
    caplog.clear()
    second = train(folder, run)
    assert logged(run) == {f"{i}.png" for i in range(7)} - {"3.png"}
    report = read_report(run.report_paths()[-1])
    assert report.excluded == {"photos": 1}
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert said == ["left out of the training, as was decided: 1 item (photos 1)"]

    without = photos(tmp_path / "without", "012456")
    assert same(second, train(without, None))
    assert not same(second, first)

    made = make_report(run)  # also when the run has ended
    assert read_without_items(made).excluded == {"photos": 1}
    shown = StringIO()
    print_report(report, Console(file=shown, width=120))
    assert "Left out of the training, as was decided: 1 (photos 1)." in shown.getvalue()


def test_the_list_that_export_writes(tmp_path: Path) -> None:
    """What a list names is left out of the next training; with nothing in it, the weights are what they were."""
    folder = photos(tmp_path / "photos")
    listed = tmp_path / "exclude.txt"
    listed.write_text(f"{folder}/1.png\n{folder}/5.png\n", encoding="utf-8")
    run = config(tmp_path / "run", exclude=listed)
    trained = train(folder, run)
    assert logged(run) == {"0.png", "2.png", "3.png", "4.png", "6.png"}
    assert read_report(run.report_paths()[-1]).excluded == {"photos": 2}
    assert same(trained, train(photos(tmp_path / "without", "02346"), None))
    listed.write_text("# nothing\n", encoding="utf-8")
    assert same(train(folder, run), train(folder, None))


def test_what_is_wrong_is_an_error_before_the_training(tmp_path: Path) -> None:
    """A list that is not there, and one that leaves nothing; neither makes a file."""
    folder = photos(tmp_path / "photos")
    with pytest.raises(ConfigError, match=r"exclude: .*gone\.txt: no such file"):
        train(folder, config(tmp_path / "run", exclude=tmp_path / "gone.txt"))
    listed = tmp_path / "exclude.txt"
    listed.write_text("".join(f"{path}\n" for path in Photos(folder).paths), encoding="utf-8")
    with pytest.raises(ConfigError, match="all 7 items of the dataset 'photos' are excluded"):
        train(folder, config(tmp_path / "run", exclude=listed))
    assert not RecordLog(tmp_path / "run/loss_logging/records/run").files()


def test_a_loop_that_does_not_ask(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It trains on everything, and log and reports say that the list was not heard, and what to do."""
    folder = photos(tmp_path / "photos")
    (tmp_path / "exclude.txt").write_text(f"{folder}/1.png\n", encoding="utf-8")
    run = config(tmp_path / "run", exclude=tmp_path / "exclude.txt")
    train(folder, run, asks=False)
    (warning,) = read_report(run.report_paths()[-1]).warnings
    assert "nothing is left out" in warning
    assert "exclusions.subset" in warning
    assert [record.getMessage() for record in caplog.records].count(warning) == 1


def test_a_loop_that_does_not_ask_for_decisions(tmp_path: Path) -> None:
    """Its reports say that what was excluded before is trained on all the same; what is excluded while it trains is
    none of that."""
    folder = photos(tmp_path / "photos")
    Decisions().decide(str(folder / "2.png"), "exclude")
    file = DecisionFile(folder / DECISIONS_FILE)
    file.append(Decision(path="4.png", decision="exclude", when="9999-01-01T00:00:00+00:00"))
    run = config(tmp_path / "run")
    train(folder, run, asks=False)
    (warning,) = read_report(run.report_paths()[-1]).warnings
    assert warning.startswith(f"1 item is excluded and trained on all the same, such as {folder}/2.png")
    train(folder, run)
    assert read_report(run.report_paths()[-1]).warnings == []
