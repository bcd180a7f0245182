"""loss_logging.evaluation: each caption beside those of its rivals, at the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from loss_logging import evaluate_dataset
from loss_logging.errors import ConfigError
from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.rivals import rivals_of_batches
from loss_logging.evidence.rivals import Rivals

COLOURS = {"red": (1.0, -1.0, -1.0), "green": (-1.0, 1.0, -1.0), "blue": (-1.0, -1.0, 1.0)}


def walls(count: int = 60, size: int = 16) -> list[dict[str, Any]]:
    """Batches of walls in one of three colours; the first, which is red, is called green."""
    names = [list(COLOURS)[i % 3] for i in range(count)]
    captions = ["a green wall", *(f"a {name} wall" for name in names[1:])]
    pixels = torch.tensor([COLOURS[name] for name in names])[:, :, None, None].expand(count, 3, 8, 8)
    return [
        {
            "paths": [f"{i}.png" for i in range(at, min(at + size, count))],
            "datasets": "walls",
            "captions": captions[at : at + size],
            "pixel_values": pixels[at : at + size],
        }
        for at in range(0, count, size)
    ]


def compute(batch: dict[str, Any], draw: Draw) -> list[dict[str, Any]]:
    """A loss that is low where the caption names the colour."""

    def loss(caption: str, pixels: Any) -> float:
        named = next((colour for name, colour in COLOURS.items() if name in caption), (0.0, 0.0, 0.0))
        return 0.1 + float(np.abs(np.subtract(named, np.asarray(pixels)[:, 0, 0])).mean())

    return [
        {"path": path, "dataset": "walls", "caption": caption, "loss": loss(caption, pixels)}
        | {"loss_empty": loss("", pixels), "timestep": draw.index / draw.count}
        | ({"loss_rival": np.mean([loss(rival, pixels) for rival in rivals]), "rival": rivals[0]} if rivals else {})
        for path, caption, pixels, rivals in zip(
            batch["paths"],
            batch["captions"],
            batch["pixel_values"],
            batch.get("rivals", [[]] * len(batch["paths"])),
            strict=True,
        )
    ]


@pytest.mark.parametrize("given", ["number", "table"])
def test_each_caption_is_compared_with_its_rivals(given: str) -> None:
    """Batches have the captions of rivals, found in the same dataloader or before, and the report what they say."""
    rivals: int | Rivals = 2 if given == "number" else rivals_of_batches(walls(), 2, progress=False)
    report = evaluate_dataset(compute, walls(), paired=True, rivals=rivals, draws=4, progress=False)
    items = report.datasets["walls"].item_stats
    assert {item.n_rival for item in items.values()} == {4}
    assert [path for path, item in items.items() if (item.rival_mismatch or 0) > 0] == ["0.png"]
    assert report.worst.caption_mismatch[0].path == "0.png"


def test_pictures_give_the_report_its_chances() -> None:
    """With 100 captions or more what the pictures say is calibrated; the wrong caption is the likeliest to be so."""
    report = evaluate_dataset(compute, walls(120), paired=True, rivals=1, draws=4, progress=False)
    items = report.datasets["walls"].item_stats
    assert max(items, key=lambda path: items[path].p_wrong or 0) == "0.png"
    assert {item.evidence for item in items.values()} == {"pictures, empty, rival"}


def test_a_record_without_the_loss_that_was_asked_for_is_named() -> None:
    """Where an item has rivals, its record must have been compared with them."""

    def forgets(batch: dict[str, Any], draw: Draw) -> Any:
        return compute({key: value for key, value in batch.items() if key != "rivals"}, draw)

    with pytest.raises(ValueError, match=r"rivals were given, but the record of '0\.png' has no loss_rival"):
        evaluate_dataset(forgets, walls(), paired=True, rivals=1, draws=4, progress=False)


def test_without_pictures_the_empty_caption_stands() -> None:
    """Paths that are no images: the report says so, and has everything else."""
    batches = [{key: value for key, value in batch.items() if key != "pixel_values"} for batch in walls()]

    def without(batch: dict[str, Any], draw: Draw) -> Any:
        return compute(batch | {"pixel_values": np.zeros((len(batch["paths"]), 3, 8, 8))}, draw)

    report = evaluate_dataset(without, batches, paired=True, rivals=1, draws=4, progress=False)
    assert report.warnings[0].startswith("captions are compared with no rivals: none of 60 pictures opens")
    assert {(item.n_paired, item.n_rival) for item in report.datasets["walls"].item_stats.values()} == {(4, 0)}


@pytest.mark.parametrize(
    ("options", "dataloader", "message"),
    [
        ({"rivals": 1}, walls(), "rivals is given and paired is False; allowed: with paired=True"),
        ({"rivals": -1, "paired": True}, walls(), "rivals is -1; allowed: 0 and more, or a Rivals"),
        ({"rivals": 1, "paired": True}, iter(walls()), "rivals takes a dataloader that can be read twice"),
        ({"rivals": 1, "paired": True}, [["a.png"]], "rivals takes batches that are mappings with paths and captions"),
        ({"rivals": 1, "paired": True}, [{"paths": ["a.png"]}], "batches that are mappings with paths and captions"),
        (
            {"rivals": 1, "paired": True, "engine": lambda *_: []},
            walls(),
            "rivals is 1 and engine another than 'local'; allowed: there, what find_rivals",
        ),
    ],
)
def test_arguments_that_do_not_fit(options: dict[str, Any], dataloader: Any, message: str) -> None:
    """Errors name the argument, its value and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        evaluate_dataset(compute, dataloader, draws=4, progress=False, **options)


def test_other_rivals_are_another_evaluation(tmp_path: Path) -> None:
    """An interrupted evaluation is continued with the same rivals only."""
    calls: list[int] = []

    def interrupted(batch: dict[str, Any], draw: Draw) -> Any:
        calls.append(draw.index)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return compute(batch, draw)

    def evaluate(function: Any, rivals: int) -> int:
        before = len(calls)
        evaluate_dataset(
            function, walls(), paired=True, rivals=rivals, draws=4, save_root=tmp_path, progress=False, job_name="w"
        )
        return len(calls) - before

    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, 1)
    assert evaluate(interrupted, 1) == 8
    del calls[:]
    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, 1)
    del calls[8:]
    assert evaluate(lambda batch, draw: calls.append(0) or compute(batch, draw), 2) == 16
