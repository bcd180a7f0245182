"""loss_logging.runs.exclusions"""

from __future__ import annotations

import logging
import ntpath
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from loss_logging import Exclusions, TrainConfig
from loss_logging.captions.decisions import DECISIONS_FILE, Choice, Decision, DecisionFile, Decisions
from loss_logging.errors import ConfigError
from loss_logging.runs import exclusions as module


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of images, in the working directory."""
    for name in ("cats/1.png", "cats/2.png", "cats/[3]*.png", "dogs/1.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def exclusions(listed: str | None = None, file: str = "exclude.txt", **options: Any) -> Exclusions:
    """With a list of these lines in the working directory."""
    if listed is not None:
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text(listed, encoding="utf-8")
        options["exclude"] = file
    return Exclusions(TrainConfig(job_name="job", save_root="run", **options))


def decide(folder: Path, path: str, decision: Choice = "exclude") -> None:
    """As a person does."""
    DecisionFile(folder / DECISIONS_FILE).append(Decision(path=path, decision=decision))


def test_relative_paths_belong_to_the_folder_images(photos: Path) -> None:
    """As decisions on the page and in reports do; a list may name them so, too."""
    decide(photos, "cats/1.png")
    assert exclusions(images="photos").excludes("cats/1.png")
    assert not exclusions().excludes("cats/1.png")
    assert exclusions(str(photos / "dogs/1.png"), images=photos).excludes("dogs/1.png")
    assert exclusions("dogs/1.png", images=photos).excludes(photos / "dogs/1.png")


@pytest.mark.parametrize("first", ["cats/1.png", "dogs/1.png"])
def test_what_is_undone_nearer_is_trained_on(photos: Path, first: str) -> None:
    """As the page and reports say, in whatever order images come; what is decided later counts."""
    photos.joinpath(DECISIONS_FILE).write_text(
        '{"path": "cats/1.png", "decision": "exclude", "when": "2026-01-01T00:00:00+00:00"}\n'
        '{"path": "cats/2.png", "decision": "exclude", "when": "2026-01-03T00:00:00+00:00"}\n'
    )
    photos.joinpath("cats", DECISIONS_FILE).write_text(
        '{"path": "1.png", "decision": "undone", "when": "2026-01-02T00:00:00+00:00"}\n'
        '{"path": "2.png", "decision": "undone", "when": "2026-01-02T00:00:00+00:00"}\n'
    )
    found, seen = exclusions(), Decisions()
    found.excludes(photos / first)
    for name, is_excluded in (("cats/1.png", False), ("cats/2.png", True)):
        assert (found.excludes(photos / name), seen.excludes(str(photos / name))) == (is_excluded, is_excluded)


def test_nothing_is_excluded_where_nothing_was_decided(photos: Path) -> None:
    """Without decisions and without a list every item stays, and the dataset is the very same."""
    found = exclusions()
    dataset = TensorDataset(torch.arange(2))
    assert not found.excludes(photos / "cats/1.png")
    assert found.subset(dataset, ["photos/cats/1.png", "7"]) is dataset
    assert found.counts == {}


@pytest.mark.parametrize("way", ["{}/cats/1.png", "photos/cats/1.png", "photos/dogs/../cats/1.png", "link/1.png"])
@pytest.mark.parametrize("how", ["beside", "above", "own", "absolute", "relative", "from the list", "jsonl"])
def test_an_image_is_known_however_it_is_written(photos: Path, way: str, how: str) -> None:
    """Decisions and lists mean the same image by an absolute path, a relative one, and through a link."""
    Path("link").symlink_to(photos / "cats")
    lists = {
        "absolute": (f"{photos}/cats/1.png\n", "exclude.txt"),
        "relative": ("photos/cats/1.png\n", "exclude.txt"),
        "from the list": ("1.png\n", "photos/cats/exclude.txt"),
        "jsonl": ('{"path": "cats/1.png", "decision": "exclude"}\n', "photos/list.jsonl"),
    }
    if how == "beside":
        decide(photos / "cats", "1.png")
    elif how == "above":
        decide(photos.parent, "photos/cats/1.png")
    elif how == "own":
        Path("run/loss_logging").mkdir(parents=True)
        DecisionFile(Path("run/loss_logging/job_decisions.jsonl")).append(
            Decision(path=(photos / "cats/1.png").as_posix(), decision="exclude")
        )
    found = exclusions(*lists.get(how, ()))
    assert found.excludes(way.format(photos))
    assert found.excludes(Path(way.format(photos)))
    assert not found.excludes(way.format(photos).replace("1.png", "2.png"))
    assert not found.excludes("photos/dogs/1.png")


def test_a_link_to_an_image_is_the_image(photos: Path) -> None:
    """What is excluded where it lies is excluded where a link leads to it, and what the link is called is too."""
    Path("alias.png").symlink_to(photos / "cats/1.png")
    decide(photos, "cats/1.png")
    assert exclusions().excludes("alias.png")
    assert exclusions("alias.png\n").excludes("photos/cats/1.png")


def test_from_another_working_directory(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute items match a list that lies where its relative paths begin, wherever the training is started."""
    (photos.parent / "exclude.txt").write_text("photos/cats/1.png\n", encoding="utf-8")
    (photos.parent / "elsewhere").mkdir()
    monkeypatch.chdir(photos.parent / "elsewhere")
    found = exclusions(exclude="../exclude.txt")
    assert found.excludes(photos / "cats/1.png")
    monkeypatch.chdir(photos)  # the trainer goes elsewhere
    assert found.excludes(photos / "cats/1.png")


def test_names_that_are_no_files(photos: Path) -> None:
    """Numbers, addresses and texts are compared as the log has them."""
    found = exclusions("7\ns3://bucket/1.png\na\\b.png\n")
    assert [found.excludes(path) for path in (7, torch.tensor(7), "s3://bucket/1.png", "a\\b.png", 8, None, "")] == [
        True, True, True, True, False, False, False,
    ]  # fmt: skip


def test_a_pattern_is_a_name(photos: Path) -> None:
    """Characters of patterns mean themselves."""
    found = exclusions("photos/cats/[3]*.png\nphotos/cats/*\n")
    assert found.kept(["photos/cats/[3]*.png", "photos/cats/1.png"]) == [1]


def test_a_name_that_is_no_utf_8(photos: Path) -> None:
    """It matches as the log shows it and as the file system has it."""
    name = os.fsdecode(b"caf\xe9.png")
    Path("exclude.txt").write_bytes(b"caf\xe9.png\n")
    assert exclusions(exclude="exclude.txt").excludes(name)
    assert exclusions("caf\\udce9.png\n").excludes(name)


def test_blanks_around_a_path(photos: Path) -> None:
    """A line with a blank at its end names the path without it too."""
    found = exclusions("photos/cats/1.png \n")
    assert found.excludes("photos/cats/1.png")
    assert found.excludes("photos/cats/1.png ")


def test_two_items_with_one_caption_are_two_items(photos: Path) -> None:
    """It is the path that is excluded: another image with the same caption stays."""
    DecisionFile(photos / DECISIONS_FILE).append(Decision(path="cats/1.png", decision="exclude", caption="a cat"))
    assert exclusions().kept(["photos/cats/1.png", "photos/cats/2.png"]) == [1]


_NAMES = st.sampled_from(["1.png", "2.png"])
_FOLDERS = st.sampled_from(["", "a", "a/b", "a/b/c"])
_CHOICES: st.SearchStrategy[Choice] = st.sampled_from(["exclude", "fine", "undone"])


@given(st.lists(st.tuples(_FOLDERS, _FOLDERS, _NAMES, _CHOICES, st.booleans()), max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_decisions_count_as_they_do_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, decided: list[tuple[str, str, str, Choice, bool]]
) -> None:
    """Of all files that say something about an image it is the one that `Decisions` goes by."""
    root = tmp_path_factory.mktemp("root")
    (root / "a/b/c").mkdir(parents=True)
    config = TrainConfig(job_name="job", save_root=root / "run")
    config.out_dir.mkdir(parents=True)
    for folder, below, name, choice, own in decided:
        image = root / folder / below / name
        if own:
            DecisionFile(config.paths.decisions).append(Decision(path=image.as_posix(), decision=choice))
        else:
            decide(root / folder, image.relative_to(root / folder).as_posix(), choice)
    found, decisions = Exclusions(config), Decisions(own=config.paths.decisions)
    for folder in ("", "a", "a/b", "a/b/c"):
        for name in ("1.png", "2.png"):
            path = str(root / folder / name)
            assert found.excludes(path) == decisions.excludes(path), path


def test_windows_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case and the kind of slash do not matter there."""
    monkeypatch.setattr(module, "os", SimpleNamespace(path=ntpath))
    assert module._normal("C:\\Photos\\cats/1.PNG") == module._normal("c:/photos/Cats\\1.png")


# --- counting, and what is said -----------------------------------------------------------------------------------


def test_counts_by_dataset(photos: Path) -> None:
    """Each item is counted once, in its dataset."""
    found = exclusions("photos/cats/1.png\nphotos/dogs/1.png\n")
    paths = ["photos/cats/1.png", "photos/cats/2.png", "photos/dogs/1.png", "photos/dogs/2.png"]
    for _ in range(2):
        assert found.kept(paths, ["cats", "cats", "dogs", "dogs"]) == [1, 3]
    assert found.counts == {"cats": 1, "dogs": 1}


def test_a_subset_is_the_folder_without(photos: Path) -> None:
    """The items that stay, in their order, also of a table of `datasets`."""
    found = exclusions("2\n")
    subset = found.subset(TensorDataset(torch.arange(4)), range(4))
    assert [int(number) for (number,) in subset] == [0, 1, 3]
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"file": ["0", "1", "2", "3"]})
    assert found.subset(table, table["file"])["file"] == ["0", "1", "3"]
    with pytest.raises(ValueError, match="3 paths of 4 items"):
        found.subset(table, ["0", "1", "2"])


def test_a_dataset_of_which_nothing_stays(photos: Path) -> None:
    """The error names it, how many there are, and who excludes them; nothing is trained on nothing."""
    decide(photos, "dogs/1.png")
    with pytest.raises(ConfigError, match=r"all 1 item of the dataset 'dogs' are excluded, by decisions"):
        exclusions().kept(["photos/cats/1.png", "photos/dogs/1.png"], ["cats", "dogs"])
    with pytest.raises(ConfigError, match=r"by exclude\.txt"):
        exclusions("photos/cats/1.png").kept(["photos/cats/1.png"], "cats")
    assert exclusions().kept([], "empty") == []


def test_what_is_left_out_is_said_once(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    """How many items of which datasets, and how many paths of the list are those of none, with examples."""
    found = exclusions("".join(f"gone/{i}.png\n" for i in range(1_200)) + "photos/cats/1.png\n")
    found.kept(["photos/cats/1.png", "photos/cats/2.png"], "cats")
    for _ in range(2):
        found.announce()
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "left out of the training, as was decided: 1 item (cats 1)"
    assert "1,200 of the 1,201 paths in exclude.txt" in second
    assert "such as gone/0.png, gone/1.png, gone/10.png." in second
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_what_is_left_out_of_a_stream_is_said_at_its_end(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Before it has ended nobody knows what will come."""
    found = exclusions("photos/cats/1.png\ngone.png\n")
    assert [found.leave_out(path, "cats") for path in ("photos/cats/1.png", "photos/cats/2.png") * 2] == [
        True,
        False,
    ] * 2
    found.announce()
    assert not caplog.records
    found.announce(ended=True)
    assert len(caplog.records) == 2
    assert found.counts == {"cats": 1}


def test_an_image_that_is_gone_is_no_matter(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A decision about an image that was deleted since says nothing and costs nothing."""
    decide(photos, "cats/gone.png")
    found = exclusions()
    assert found.kept(["photos/cats/1.png"]) == [0]
    found.announce()
    assert not caplog.records
