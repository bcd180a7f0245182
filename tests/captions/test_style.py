from __future__ import annotations

import numpy as np
from captions.corpus import GOOD
from hypothesis import example, given
from hypothesis import strategies as st

from loss_logging.captions.style import STYLES, StyleGuess, common_style, style_alone, styles_alone


def guessed(*captions: str) -> str | None:
    guess = StyleGuess()
    for caption in captions:
        guess.add(caption)
    return guess.style()


def test_four_in_five_decide() -> None:
    """A style that fewer captions have is nobody's; two captions decide nothing."""
    prose = ["a cat sleeps on a sofa", "two dogs run in the snow", "a horse eats the green grass", "a bird in a tree"]
    assert guessed(*prose, "1girl, solo, hat, smile") == "prose"
    assert guessed(*prose, "1girl, solo, hat, smile", "1boy, solo, hat, sea") is None
    assert guessed(*prose[:2]) is None


def test_one_caption_for_most_images_is_an_instance_prompt() -> None:
    """However it reads, what four in five images have is the name of a thing."""
    assert guessed(*["a photo of a very small dog that sits in the snow"] * 4, "a cat on a sofa") == "instance"


def test_blank_captions_do_not_count() -> None:
    """They have no style of their own and take none from the others."""
    guess = StyleGuess()
    for caption in ("", "  \n", "a cat sleeps on a sofa"):
        guess.add(caption)
    assert guess.count == 1
    assert style_alone(" \t") is None


@given(
    st.dictionaries(st.sampled_from(["prose", "tags", "instance"]), st.integers(1, 50), min_size=1),
    st.integers(1, 50),
)
def test_what_is_common_is_that_of_four_in_five(styles: dict[str, int], alike: int) -> None:
    """A style that is given is had by 80% of the captions, or 80% have one text; below three captions there is none."""
    count = sum(styles.values())
    alike = min(alike, count)
    common = common_style(styles, alike)  # type: ignore[arg-type]
    if count < 3:
        assert common is None
    elif alike >= 0.8 * count:
        assert common == "instance"
    elif common is None:
        assert max(styles.values()) < 0.8 * count
    else:
        assert styles[common] >= 0.8 * count


_PIECES = [",", " ", "a", "1", "dog", "，", "、", "é", "\t", "\x0b", "\x1c", "\x85", "\u3000", "猫", "x" * 1999, ""]


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=9).map("".join), max_size=9))
@example([caption for captions in GOOD.values() for caption in captions])
@example([" ,1 a b", "1,000 cats", ",,a", "a,", ""])
def test_many_captions_have_the_styles_of_each(captions: list[str]) -> None:
    """What is read in columns is what is read one by one: blanks, numbers with commas, other scripts, long texts."""
    encoded = [caption.encode() for caption in captions]
    ends = np.cumsum([0, *map(len, encoded)])
    places = styles_alone(np.frombuffer(b"".join(encoded), np.uint8), ends)
    assert [None if place < 0 else STYLES[place] for place in places] == list(map(style_alone, captions))
