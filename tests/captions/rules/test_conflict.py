from __future__ import annotations

from collections.abc import Collection

import pytest
from checked import reasons

from loss_logging.captions.comparison import CaptionComparison
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.dataset_checker import DatasetChecker


def test_one_image_with_two_captions() -> None:
    """By content, where the names differ; several captions for one name are fine."""
    checker = DatasetChecker()
    for path, caption, content in [
        ("a.png", "a cat on a sofa", "1"),
        ("copy.png", "two dogs in the snow", "1"),
        ("same.png", "A  cat on a sofa", "1"),
        ("b.png", "a horse in a field", "2"),
        ("b.png", "the horse eats grass", "2"),
        ("c.png", "a boat on a lake", None),
    ]:
        checker.add(path, "d", caption, content)
    assert reasons(checker.finish(), "conflict") == dict.fromkeys(["a.png", "copy.png", "same.png"], "warning")


RED, BLUE, BIG = "a red cat on a sofa", "a blue dog in the snow", "a big red cat on a sofa"


@pytest.mark.parametrize(
    ("captions", "gone"),
    [
        ([("d1", RED), ("d2", BLUE), ("d1", BIG)], {0}),
        ([("d2", BLUE), ("d1", RED), ("d1", BIG), ("d1", "a huge red cat")], {1, 2}),
        ([("d2", BLUE), ("d1", RED), ("d1", BIG), ("d1", "a huge red cat")], {2, 3}),
        ([("d1", BLUE), ("d2", BLUE), ("d1", RED)], {0}),
    ],
)
def test_captions_that_changed_hide_no_conflict(captions: list[tuple[str, str]], gone: set[int]) -> None:
    """Of an image in two datasets, what is found is what is found where the earlier captions never were."""
    assert conflicts(captions, gone) == conflicts([one for i, one in enumerate(captions) if i not in gone])
    assert len(conflicts(captions, gone)) == 2


def test_a_conflict_that_was_mended_is_none() -> None:
    """Neither with the caption that is gone, nor among several captions for one path of a dataset."""
    assert conflicts([("d1", RED), ("d2", BLUE)]) == {("d1", RED), ("d2", BLUE)}
    assert conflicts([("d1", RED), ("d2", BLUE), ("d2", RED)], {1}) == set()
    assert conflicts([("d1", RED), ("d1", BIG), ("d1", BLUE)]) == set()


def conflicts(captions: list[tuple[str, str]], gone: Collection[int] = ()) -> set[tuple[str, str]]:
    """Dataset and caption of what is flagged, of one path."""
    comparison = CaptionComparison(CaptionConfig())
    for dataset, caption in captions:
        item = ("/p/1.png", dataset, caption)
        comparison.add(comparison.keep(*item), item, "prose", item[0])
    found = comparison.found({"d1": "prose", "d2": "prose"}, gone)
    return {captions[where] for where, reason in found if reason.rule == "conflict" and isinstance(where, int)}
