from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from evaluated import PATHS, batches, compute, items, loss_of, plain
from hypothesis import given
from hypothesis import strategies as st

from loss_logging import evaluate_dataset
from loss_logging.evaluation.selection import Selection, items_of, part_of


@pytest.mark.parametrize("fraction", [0.5, *(pytest.param(share, marks=pytest.mark.long) for share in (0.1, 1.0))])
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


@given(st.lists(st.integers(0, 9), unique=True, max_size=10).map(sorted))
def test_a_part_of_a_batch_is_that_of_every_value(places: list[int]) -> None:
    """Lists, arrays and tensors by example; what is of the whole batch stays, and so does the order."""
    (batch,) = batches(PATHS[:10], 10)
    part = part_of(batch, places, 10)
    assert part["paths"] == [PATHS[i] for i in places]
    assert part["images"].flatten().tolist() == [batch["images"][i, 0] for i in places]
    assert part["array"].tolist() == [batch["array"][i] for i in places]
    assert (part["width"], len(part)) == (512, 5)


@given(st.floats(0.01, 1), st.integers(0, 3), st.integers(1, 50))
def test_what_is_taken_depends_on_names_alone(fraction: float, seed: int, size: int) -> None:
    """The same items whatever the batches are, and at most so many."""

    def taken(size: int, most: int | None = None) -> list[str]:
        selection = Selection(fraction, most, seed)
        return [item.path for batch in selection.take_from(batches(PATHS, size)) for item in items_of(batch) or ()]

    assert taken(size) == taken(7)
    assert taken(size, 5) == taken(size)[:5]
