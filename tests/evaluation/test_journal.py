from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loss_logging import evaluate_dataset
from loss_logging.errors import LossLoggingError
from loss_logging.evaluation.evaluate import Draw

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


LONG = ((1, 8, -1), (2, 4, 1), (1, 4, -1))


@pytest.mark.parametrize(
    ("size", "at", "order"), [(1, 8, 1), (2, 4, -1), *(pytest.param(*one, marks=pytest.mark.long) for one in LONG)]
)
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
