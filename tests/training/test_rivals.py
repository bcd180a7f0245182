"""loss_logging.training.rivals: rivals that a process beside training finds, and that a trainer looks up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from waiting import wait_until

from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.errors import LossLoggingError
from loss_logging.training.rivals import KnownRivals, RivalFinder, _picture

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def walls(tmp_path: Path) -> dict[str, str]:
    """Captions of sixty pictures of walls by their paths; the red wall of the first is called green."""
    found = {}
    for i in range(60):
        name = list(COLOURS)[i % 3]
        path = tmp_path / f"{i:02}.png"
        Image.new("RGB", (8, 8), COLOURS[name]).save(path)
        found[str(path)] = f"a {name} wall"
    return found | {next(iter(found)): "a green wall"}


def log(losses: LossLogger, step: int, walls: dict[str, str]) -> None:
    """A batch of all, compared with what the step's turn is, on every step."""
    paths, captions = list(walls), list(walls.values())
    with losses.paired_forward(step) as compared:
        rivals = losses.rivals_of(paths) if compared == "rival" else [""] * len(paths)
    others = np.where(["red" in rival and i == 0 for i, rival in enumerate(rivals)], 0.5, 1.5)
    losses.log_batch(
        step, np.ones(len(paths)), paths=paths, datasets="d", captions=captions, losses_rival=others, rivals=rivals
    )


def options(folder: Path, **more: Any) -> dict[str, Any]:
    given = {
        "job_name": "walls",
        "save_root": folder / "run",
        "loggers": [],
        "reporter": "inline",
        "paired_fraction": 1,
    }
    return given | {"timeouts": {"flush": 0.01}} | more


def test_rivals_are_found_beside_training_and_kept_for_a_resumed_run(tmp_path: Path, walls: dict[str, str]) -> None:
    """After the first report pictures are compared in another process; from then on half of the pairs are rivals', and
    the log says whose. A run that goes on has them at once; what a caption was corrected to is no rival of it. A run
    that starts anew has none."""
    wrong = next(iter(walls))
    with LossLogger(**options(tmp_path)) as losses:
        for step in range(1, 10):
            log(losses, step, walls)
        assert losses.rival_of(wrong) == ""
        losses.save_step(9).result()
        file = losses.config.paths.rivals
        wait_until(file.exists, 120)
        log(losses, 10, walls)
        wait_until(lambda: losses.rival_of(wrong) == "a red wall", 20)
        for step in range(11, 40):
            log(losses, step, walls)
        item = read_report(losses.save_step(39).result()).datasets["d"].item_stats[wrong]
    assert (item.n_paired + item.n_rival, item.rival_mismatch) == (39, pytest.approx(2 / 3))
    assert 5 <= item.n_rival <= 25
    corrected = walls | {wrong: "a red wall"}
    with LossLogger(**options(tmp_path)) as losses:
        losses.resume(39)
        for step in range(40, 60):
            log(losses, step, corrected)
            wait_until(lambda: losses.rival_of(wrong) == "a red wall", 20)
        again = read_report(losses.save_step(59).result()).datasets["d"].item_stats[wrong]
    assert again.n_rival == item.n_rival
    assert item.n_paired < again.n_paired < item.n_paired + 20
    with LossLogger(**options(tmp_path)) as losses:
        log(losses, 1, walls)
        assert not file.exists()


def test_the_empty_caption_stands_where_there_are_no_pictures(tmp_path: Path, walls: dict[str, str]) -> None:
    """Names that are no files: no process is started, and every pair is with the empty caption. Nor is one started for
    a trainer that asks for no rivals."""
    with LossLogger(**options(tmp_path)) as losses:
        for step in range(8):
            log(losses, step, {f"{i}": "a cat" for i in range(60)})
        report = read_report(losses.save_step(7).result())
    with LossLogger(**options(tmp_path, job_name="old")) as old:
        for step in range(8):
            old.log_batch(
                step, [1.0] * 60, paths=list(walls), datasets="d", captions=[*walls.values()], losses_empty=[2.0] * 60
            )
        old.save_step(7).result()
    assert not list(losses.config.out_dir.rglob(".rivals*"))
    assert {(item.n_paired, item.n_rival) for item in report.datasets["d"].item_stats.values()} == {(8, 0)}


def test_where_images_are_told_pictures_judge_without_any_pair(tmp_path: Path, walls: dict[str, str]) -> None:
    """A trainer that never pairs, with relative paths: the report after the next has chances and verdicts, the wrong
    caption the highest chance; the same figures come from the log afterwards."""
    wrong = Path(next(iter(walls))).name
    with LossLogger(**options(tmp_path, images=tmp_path, paired_fraction=0)) as losses:
        for step, captions in enumerate([walls, walls], 1):
            names = [Path(path).name for path in captions] * 2
            paths = [name if i < 60 else f"./{name}" for i, name in enumerate(names)]  # a chance takes 100 items
            losses.log_batch(step, [1.0] * 120, paths=paths, datasets="d", captions=[*captions.values()] * 2)
            path = losses.save_step(step).result()
            wait_until(losses.config.paths.rivals.exists, 120)
    report = read_report(path)
    items = report.datasets["d"].item_stats
    assert max(items, key=lambda name: items[name].p_wrong) in (wrong, f"./{wrong}")
    assert {item.evidence for item in items.values()} == {"pictures"}
    assert report.verdicts.judged == 120


@pytest.mark.parametrize("off", [{"rivals": "none"}, {"paired_fraction": 0}, {"log_per_example": False}])
def test_nobody_looks_for_rivals_that_are_not_wanted(
    tmp_path: Path, walls: dict[str, str], off: dict[str, Any]
) -> None:
    """Without pairs, or where the configuration says so, no picture is opened."""
    asked: list[int] = []
    finder = RivalFinder(TrainConfig(**options(tmp_path, **off)), lambda most: asked.append(most) or pa.table({}))
    finder.look()
    finder.close()
    assert asked == []


def test_what_goes_wrong_does_not_reach_the_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A query that fails is warned about, once."""

    def broken(most: int) -> pa.Table:
        raise OSError(f"{most} items are too many")

    finder = RivalFinder(TrainConfig(**options(tmp_path)), broken)
    finder.look()
    finder.look()
    assert [record.getMessage() for record in caplog.records] == [
        "no rivals are looked for: OSError: 10000 items are too many"
    ]


def test_items_that_are_no_pictures_have_the_ones_that_a_function_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Videos: a frame of each; one that the function cannot read has none, and stops nothing."""
    (tmp_path / "frames_of_mine.py").write_text(
        "def load(path, dataset): return [[0, 255]] if path == 'a.mp4' else 1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = [_picture(path, "d", "frames_of_mine:load", "") for path in ("a.mp4", "b.mp4")]
    assert given == [[[0, 255]], None]
    (tmp_path / "c.mp4").write_bytes(b"no picture")
    assert _picture("c.mp4", "d", "", str(tmp_path)) == tmp_path / "c.mp4"  # which Pillow does not open
    assert _picture("../c.mp4", "d", "", str(tmp_path / "frames")) is None  # outside the folder of images


def test_a_file_of_rivals_that_is_none(tmp_path: Path) -> None:
    """The error names the key and the file."""
    with pytest.raises(LossLoggingError, match=r"\$\.rivals: .*none\.parquet cannot be read: No such file"):
        KnownRivals(TrainConfig(**options(tmp_path, rivals=str(tmp_path / "none.parquet"))))
    (tmp_path / "text").write_text("no table")
    with pytest.raises(LossLoggingError, match="text holds no rivals"):
        LossLogger(**options(tmp_path, rivals=str(tmp_path / "text")))
