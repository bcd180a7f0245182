from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.characters import CONTROLS, SPACES, invisible


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("a\u200b cat", "a cat"),
        ("soft\xadhyphen", "softhyphen"),
        ("a\u200ecat", "acat"),
        ("zero\u200dwidth", "zerowidth"),
    ],
)
def test_what_nobody_sees_is_found(text: str, without: str) -> None:
    """Between ASCII letters, joiners, marks of direction and breaks are damage."""
    pattern = invisible(text)
    assert pattern is not None
    assert pattern.sub("", text) == without


@pytest.mark.parametrize("text", ["👩‍👧", "می‌خواهم", "ไทย\u200bไทย", "שלום\u200f!", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"])
def test_what_a_script_needs_is_left_alone(text: str) -> None:
    """Joiners of emoji and Persian, breaks of Thai, marks of Hebrew and the letters of a flag belong there."""
    assert invisible(text) is None


@given(st.text())
def test_taking_out_once_takes_out_all(text: str) -> None:
    """What is left has nothing more to take out of the kind that was found, and is shorter."""
    if (pattern := invisible(text)) is not None:
        left = pattern.sub("", text)
        assert len(left) < len(text)
        assert pattern.search(left) is None or len(pattern.sub("", left)) < len(left)


def test_line_breaks_are_no_controls_and_the_ideographic_space_is_ordinary() -> None:
    """Tab, line feed and carriage return stay in a caption; an ideographic space is good Chinese."""
    assert not CONTROLS.search("\t\n\r")
    assert CONTROLS.findall("\x00\x1b\x7f\x85") == ["\x00", "\x1b", "\x7f", "\x85"]
    assert not SPACES.search(" \u3000\n")
    assert SPACES.search("\xa0")
