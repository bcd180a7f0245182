from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.integrations.trainers.ai_toolkit.items import dataset_names, items_of


def item(path: str, written: str = "a cat", **changes: Any) -> Any:
    dataset = SimpleNamespace(folder_path="/data/cats", dataset_path=None)
    known = {"raw_caption": written, "caption_short": "cat", "is_reg": False, "dataset_config": dataset}
    return SimpleNamespace(**{"path": path, "caption": written, **known, **changes})


@given(st.lists(st.lists(st.sampled_from(["cats", "dogs"]), min_size=1, max_size=3), min_size=1, unique_by=tuple))
def test_datasets_are_told_apart_by_their_names(folders: list[list[str]]) -> None:
    """Each folder has a name that is the end of its path, and where one is not within another, of its own."""
    paths = ["/data/" + "/".join(folder) for folder in folders]
    names = dataset_names(paths)
    assert all(path.endswith(names[path]) for path in paths)
    apart = [path for path in paths if not any(other != path and other.endswith(path) for other in paths)]
    assert len({names[path] for path in apart}) == len(apart)


def test_a_dropped_caption_is_known_however_it_was_dropped() -> None:
    """By the item's own mark, or by a caption that is gone; one that was never there was not dropped."""
    dropped = [item("1.png", "a", caption=""), item("2.png", "b", _caption_was_dropped=True), item("3.png", "")]
    items = items_of(SimpleNamespace(file_items=dropped), 3, {"/data/cats": "cats"}, has_refiner=False)
    assert items.caption_dropped == [True, True, False]
    assert (items.captions, items.datasets) == (["", "", ""], ["cats"] * 3)


def test_the_second_half_of_a_doubled_batch_is_another_dataset() -> None:
    """With the short captions, or with the refiner; another number of rows is no batch that is known."""
    batch = SimpleNamespace(file_items=[item("1.png")])
    doubled = items_of(batch, 2, {}, has_refiner=False)
    assert doubled.datasets == ["/data/cats", "/data/cats (short captions)"]
    assert doubled.captions == ["a cat", "cat"]
    assert items_of(batch, 2, {}, has_refiner=True).datasets[1] == "/data/cats (refiner)"
    with pytest.raises(LookupError, match="3 losses for 1 items"):
        items_of(batch, 3, {}, has_refiner=False)
