"""loss_logging.pages.word_changes"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.pages.word_changes import word_changes


def marked(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = ([piece.text for piece in side if piece.marked] for side in word_changes(before, after))
    return old, new


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a red cat", "a black cat", (["red"], ["black"])),
        ("a cat", "a cat, asleep", ([], [", asleep"])),
        ("", "a cat", ([], ["a cat"])),
        ("1girl, solo", "1girl, hat", (["solo"], ["hat"])),
        ("赤い猫", "黒い猫", (["赤"], ["黒"])),
        ("a cat", "a cat", ([], [])),
    ],
)
def test_words_that_differ(before: str, after: str, expected: tuple[list[str], list[str]]) -> None:
    """Words, signs and characters of scripts without spaces, and no more than those."""
    assert marked(before, after) == expected


@given(st.text(max_size=300), st.text(max_size=300))
def test_nothing_is_lost(before: str, after: str) -> None:
    """The pieces of each side are its caption."""
    assert tuple("".join(piece.text for piece in side) for side in word_changes(before, after)) == (before, after)


def test_a_long_caption_is_cut_around_the_first_difference() -> None:
    """What is the same before it is left out, with an ellipsis."""
    long = "the same words again and again " * 400
    old, new = word_changes(f"{long}red cat {long}", f"{long}black cat {long}")
    for side in (old, new):
        text = "".join(piece.text for piece in side)
        assert len(text) < 700
        assert text.startswith("…")
        assert text.endswith("…")
    assert next(piece.text for piece in new if piece.marked) == "black"
