"""Captions as words."""

from __future__ import annotations

import pytest

from loss_logging.errors import ConfigError
from loss_logging.evidence.words import caption_words


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (["a red car", "A RED bus.", "the bus", "snow"], ["a", "bus", "red"]),
        (["1girl, long_hair, solo", "solo, Long hair, hat", "hat, cat, dog"], ["hat", "long hair", "solo"]),
        (["红色的车在路上", "红色的船在海上", "一只猫"], list("上在的红色")),
        (["красный дом", "Красный мяч", "синий мяч и кот"], ["красный", "мяч"]),
        (["red-car_01.png", "red-bus_02.png", "blue-bus_03.PNG"], ["bus", "red"]),
    ],
)
def test_words_of_any_language_tags_and_file_names(captions: list[str], expected: list[str]) -> None:
    """A word stands in two captions or more, and not in all."""
    assert sorted(caption_words(captions).words) == expected


def test_captions_without_words_are_blank_and_nothing_else() -> None:
    """None, white space and lone punctuation; an empty set has no words."""
    words = caption_words([None, "", "  ", "...", "a cat", "a dog", "a \ud800"])
    assert words.blank.tolist() == [True] * 4 + [False] * 3
    assert caption_words([]).matrix.shape == (0, 0)


def test_the_words_in_most_captions_are_kept() -> None:
    """At most as many as asked for; the others count as unknown."""
    words = caption_words(["a b", "a b", "a c", "c d"], most=1)
    assert words.words == ["a"]
    assert words.unknown.tolist() == [1, 1, 1, 2]


def test_one_text_instead_of_many_is_refused() -> None:
    """It would be taken for one caption of a letter each."""
    with pytest.raises(ConfigError, match="captions is the text 'a cat'; allowed: a sequence of texts"):
        caption_words("a cat")
