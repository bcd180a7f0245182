from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.rules.preamble import preamble


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("Sure! Here is a caption: a cat on a sofa", "opens"),
        ("Caption: a cat on a sofa", "opens"),
        ("Natürlich! Hier ist eine Beschreibung: eine Katze", "opens"),
        ("当然，以下是对这张图片的描述：一只猫", "opens"),
        ("A cat on a sofa. Let me know if you need more.", "closes"),
        ("A cat on a sofa. I hope this helps!", "closes"),
    ],
)
def test_words_to_a_person_are_found_at_either_end(text: str, does: str) -> None:
    """The message says whether they open or close the answer, and the span is theirs."""
    reason = preamble(read(text))
    assert reason is not None
    assert does in reason.message
    assert reason.span is not None
    assert (reason.span[0] == 0) == (does == "opens")


@pytest.mark.parametrize(
    "text",
    [
        "The image shows a cat on a sofa",
        'a card that reads "Let me know if you come"',
        "a description of the city on a stone",
        "a man gives an answer to a child",
    ],
)
def test_descriptions_are_left_alone(text: str) -> None:
    """A way to describe, and words that the image shows, are not words to a person."""
    assert preamble(read(text)) is None
