from __future__ import annotations

import pytest
from captions.examples import GOOD
from captions.read import read

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.rules.repeated import repeated


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a photo of a cat cat, cat cat", "cat cat, cat cat"),
        ("by the sea İzmir İzmir izmir izmir", "İzmir İzmir izmir izmir"),
        ("so cuuuuuuuuuuuuute a dog", "uuuuuuuuuuuuu"),
        ("A cat sits there. A dog runs. A cat  sits there.", " A cat  sits there"),
    ],
)
def test_the_span_marks_the_repetition(text: str, span: str) -> None:
    """A reader is shown what is written over and over."""
    reason = repeated(read(text))
    assert reason is not None
    assert reason.span is not None
    assert text[slice(*reason.span)] == span


def test_a_loop_that_fills_the_caption_is_an_error() -> None:
    """The score is the share of the caption that repeats; from three quarters on it is an error."""
    mild = repeated(read("a cat sleeps on the sofa a cat sleeps on the sofa"))
    grave = repeated(read("she smiles at the camera and " * 20))
    assert mild is not None
    assert grave is not None
    assert (mild.severity, grave.severity) == ("warning", "error")
    assert mild.score < grave.score <= 1


def test_a_loop_at_the_end_of_a_long_caption_is_found() -> None:
    """A model that was caught in a loop late is found, however long the good part is."""
    good = " ".join(GOOD)
    assert len(good) > 2_500
    assert repeated(read(good)) is None
    assert repeated(read(good + " and then she waved and he waved" * 60)) is not None


def test_tags_may_share_words_but_not_repeat_themselves() -> None:
    """Whole tags are compared; a single tag that occurs twice is harmless."""
    config = CaptionConfig(default_profile="tags")
    assert repeated(read("blue hair, blue eyes, blue sky, blue dress, blue bow, blue hat", config)) is None
    assert repeated(read("1girl, solo, long hair, smile, sitting, solo", config)) is None
    assert repeated(read("1girl, solo, smile, 1girl, solo, smile", config)) is not None


@pytest.mark.parametrize(
    "text", ["New York, New York", "Tora! Tora! Tora!", "a very, very, very big dog", "10.0000000000000001 m"]
)
def test_emphasis_titles_and_figures_are_fine(text: str) -> None:
    """What people write on purpose is no loop."""
    assert repeated(read(text)) is None
