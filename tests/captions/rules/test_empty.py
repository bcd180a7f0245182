from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.rules.empty import empty


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "\u200b\u200d",
        "...",
        "(?)",
        "===== + =",
        "none",
        " NaN\n",
        "<NA>",
        "n.a.",
        '"Null".',
        "nan, nan",
        "None, None",
        "null\nnull",
        "(None, nan)",
        "No caption available.",
        "no description provided",
        "NaT",
        "pd.NA",
        "\\N",
        "#REF!",
        "#VALUE!",
        "#NAME?",
        "#DIV/0!",
        "b''",
        'b""',
        "[object Object]",
        "()",
    ],
)
def test_nothing_to_learn_from_is_an_error(text: str) -> None:
    """Blank captions, bare punctuation and missing-value words are errors of the highest score."""
    reason = empty(read(text))
    assert reason is not None
    assert (reason.rule, reason.severity, reason.score) == ("empty", "error", 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "banana",
        "nullah",
        "nan bread",
        "no one",
        "untitled no. 5 by rothko",
        "7",
        "nan, naan",
        "null island, sea",
        "na na na",
        "no caption needed",
        "Nat",
        "N",
        "b",
        "#name",
        "🐱",
        "♥",
        "é",
    ],
)
def test_only_the_whole_caption_is_compared(text: str) -> None:
    """A null word inside a caption or a word is fine, and so is a single digit or pictograph."""
    assert empty(read(text)) is None


def test_the_span_marks_the_word() -> None:
    """The span leaves white space out."""
    reason = empty(read("  nan \n"))
    assert reason is not None
    assert reason.span == (2, 5)
