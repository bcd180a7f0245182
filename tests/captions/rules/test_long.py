from __future__ import annotations

from captions.read import read

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.rules.long import long


def test_more_than_max_words_is_a_warning() -> None:
    """The limit itself is allowed; the message gives both figures."""
    config = CaptionConfig(max_words=55)
    assert long(read("word " * 55, config)) is None
    reason = long(read("word " * 56, config))
    assert reason is not None
    assert (reason.rule, reason.severity) == ("long", "warning")
    assert "56 words (max_words is 55)" in reason.message


def test_a_file_read_as_a_caption_is_an_error() -> None:
    """Ten times the limit, or more than the rules read, is no caption any more."""
    for text in ("word " * 3_801, "x" * 1_000_000, " " * 1_000_000):
        reason = long(read(text))
        assert reason is not None
        assert reason.severity == "error"


def test_longer_captions_score_higher() -> None:
    """The more of it is ignored, the higher the score, up to the error."""
    scores = [reason.score for n in range(381, 4_200, 380) if (reason := long(read("word " * n)))]
    assert len(scores) == 11
    assert scores == sorted(scores)
