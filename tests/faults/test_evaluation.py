"""Evaluations that are killed, and go on: real processes, and the report of one that was never interrupted."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from evaluation_run import BATCH, DRAWS, ITEMS, Images, evaluate
from processes import start
from torch.utils.data import DataLoader

from loss_logging import LossReport

ALL = {(f"{index:03}.png", draw) for index in range(ITEMS) for draw in range(DRAWS)}


def figures(report: LossReport) -> dict[str, Any]:
    """Everything in a report but when and where it was written."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    del plain["job"]["created"], plain["config"]["save_root"], plain["json_path"]
    return plain


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of an evaluation that nothing interrupted."""
    report, asked = evaluate(tmp_path_factory.mktemp("unbroken"))
    assert sorted(asked) == sorted(ALL)
    return figures(report)


def kill_midway(root: Path, after: int) -> None:
    """Kill an evaluation without warning once the model was asked so many times."""
    process = start(root, Path(__file__).with_name("evaluation_run.py"), "0.03")
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= after:
            break
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_killed_evaluation_goes_on(
    kills: int, tmp_path: Path, unbroken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Killed, what was computed is kept and not computed again; the report is the same to the last digit."""
    for _ in range(kills):
        kill_midway(tmp_path, 100)
    with caplog.at_level(logging.WARNING):
        report, asked = evaluate(tmp_path)
    assert "continued; resume=False starts over" in caplog.text
    assert 0 < len(asked) <= len(ALL) - 50 * kills  # each kept nearly all of it
    assert len(set(asked)) == len(asked)
    assert figures(report) == unbroken
    again, asked = evaluate(tmp_path)  # it was finished: the model may have changed
    assert sorted(asked) == sorted(ALL)
    assert figures(again) == unbroken


def interrupt(root: Path, after: int, **options: Any) -> set[tuple[str, int]]:
    """An evaluation whose loader fails after so many batches; what it has computed."""
    asked: list[tuple[str, int]] = []

    class Fails(Images):
        def __getitem__(self, index: int) -> dict[str, Any]:
            if index >= after * BATCH:
                raise OSError("the disk is away")
            asked.extend((f"{index:03}.png", draw) for draw in range(DRAWS))
            return super().__getitem__(index)

    with pytest.raises(OSError, match="the disk is away"):
        evaluate(root, loader=DataLoader(Fails(), batch_size=BATCH), **options)
    return set(asked)


CHANGES: tuple[dict[str, Any], ...] = (
    {"paired": False},
    {"max_samples": 30},
    {"draws": 4},
    {"step": 5},
    {"sample_fraction": 0.5},
    {"model_id": "sdxl, 512 pixels"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"resume": False},
        *(pytest.param(change, marks=pytest.mark.long) for change in CHANGES),
    ],
    ids=str,
)  # fmt: skip
def test_other_arguments_do_not_mix(tmp_path: Path, change: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """An evaluation of other arguments begins anew, and says what it does not continue."""
    interrupt(tmp_path / "a", 5)
    with caplog.at_level(logging.WARNING):
        report, asked = evaluate(tmp_path / "a", **change)
    expected, asked_alone = evaluate(tmp_path / "b", **change)
    assert sorted(asked) == sorted(asked_alone)
    assert figures(report) == figures(expected)
    if "resume" not in change:
        ((name, value),) = change.items()
        assert f"not continued: it had {name}=" in caplog.text
        assert f", now {value!r}" in caplog.text


@pytest.mark.parametrize("workers", [2, pytest.param(0, marks=pytest.mark.long)])
def test_another_order_and_batch_size(tmp_path: Path, unbroken: dict[str, Any], workers: int) -> None:
    """Begun in one order and continued in another, in other batches and by worker processes: item by item."""
    done = interrupt(tmp_path, 4)
    torch.manual_seed(workers)
    loader = DataLoader(Images(), batch_size=7, shuffle=True, num_workers=workers)
    report, asked = evaluate(tmp_path, loader=loader)
    assert set(asked) == ALL - done
    assert len(asked) == len(ALL) - len(done)
    assert figures(report) == unbroken


def test_items_that_are_gone_are_left_out(tmp_path: Path) -> None:
    """What an interrupted evaluation has of items that the dataset does not have any more is in no figure."""
    interrupt(tmp_path / "a", 4)
    kept = torch.utils.data.Subset(Images(), [*range(7, 30), *range(50, 60)])
    report, asked = evaluate(tmp_path / "a", loader=DataLoader(kept, batch_size=BATCH))
    expected, _ = evaluate(tmp_path / "b", loader=DataLoader(kept, batch_size=BATCH))
    assert {path for path, _ in asked} == {f"{index:03}.png" for index in range(50, 60)}
    assert figures(report) == figures(expected)


def test_paths_that_datasets_share(tmp_path: Path) -> None:
    """Items of one path in two datasets are told apart by ``dataset``, whatever the order they come in."""
    import itertools

    items = [Images()[index] | {"path": f"{index // 2}.png"} for index in range(20)]

    def batches(order: Any) -> list[dict[str, Any]]:
        return [torch.utils.data.default_collate([items[index]]) for index in order]

    with pytest.raises(TypeError):
        evaluate(tmp_path / "a", loader=itertools.chain(batches([0, 3, 4]), [None]))
    report, asked = evaluate(tmp_path / "a", loader=batches(range(19, -1, -1)))
    assert len(asked) == 17 * DRAWS
    expected, _ = evaluate(tmp_path / "b", loader=batches(range(20)))
    assert figures(report) == figures(expected)


def test_the_bar_knows_what_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Items that are finished already are not counted as fast ones; a fraction is what is left, in items."""
    interrupt(tmp_path, 6, sample_fraction=0.5)
    done = 60 * 0.5
    capfd.readouterr()
    report, _ = evaluate(tmp_path, pause=0.02, sample_fraction=0.5, progress=True)
    items = sum(len(dataset.item_stats) for dataset in report.datasets.values())
    err = capfd.readouterr().err
    first = err.split("\r")[1]
    assert int(first.split("evaluating: ")[1].split("item")[0]) == pytest.approx(done, abs=15)
    assert f"{items}/{items}" in err
    assert "100%" in err
    assert "<00:0" in err  # an estimate of the time left
