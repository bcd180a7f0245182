from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.rules.markup import markup


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a cat, see https://example.org/cat?1 for more", "https://example.org/cat?1"),
        ("a cat by jane@example.org in the snow", "jane@example.org"),
        ("a <b>black</b> cat", "<b>"),
        ("a **black** cat in snow", "**black**"),
        ("a cat from my_cat.jpg in the garden", "my_cat.jpg"),
        ("a cat & dog &amp; bird", "&amp;"),
    ],
)
def test_what_is_about_a_file_is_marked(text: str, found: str) -> None:
    """The reason names the address, tag, file or entity, and its span is where it stands."""
    reason = markup(read(text))
    assert reason is not None
    assert reason.span is not None
    assert text[slice(*reason.span)] == found


@pytest.mark.parametrize("text", ["IMG_20230412_101530", "photo (12)", "cat.png", "d41d8cd98f00b204e9800998ecf8427e"])
def test_a_name_alone_is_an_error(text: str) -> None:
    """A caption that is nothing but the name of a file says nothing of the image."""
    reason = markup(read(text))
    assert reason is not None
    assert reason.severity == "error"


@pytest.mark.parametrize(
    "text", ['a sign that reads "www.example.org"', "x < y in chalk", "a 4 * 4 grid", "Q&A; a panel", "R&B singer"]
)
def test_what_the_image_may_show_is_fine(text: str) -> None:
    """An address between quotes, signs of mathematics and an ampersand are part of a description."""
    assert markup(read(text)) is None
