from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.across import same, tokens

WORDS = st.lists(st.sampled_from(["cat", "dog", "red", "猫", "snow", "été"]), min_size=1, max_size=6)


@given(WORDS, st.randoms(use_true_random=False))
def test_tags_say_the_same_in_any_order(words: list[str], random: object) -> None:
    """Shuffled tags are equal, shuffled sentences are not unless they are the same words one by one."""
    shuffled = list(words)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def key(words: list[str], style: str, between: str) -> int | None:
        text = between.join(words)
        return same(text, style, tokens(text, style))  # type: ignore[arg-type]

    assert key(words, "tags", ", ") == key(shuffled, "tags", ",")
    assert (key(words, "prose", " ") == key(shuffled, "prose", " ")) == (words == shuffled)


@given(WORDS)
def test_case_and_punctuation_do_not_count(words: list[str]) -> None:
    """A sentence is the same in capitals, with commas, and with more blanks."""
    text, other = " ".join(words), " , ".join(words).upper() + "."
    assert same(text, "prose", tokens(text, "prose")) == same(other, "prose", tokens(other, "prose"))


def test_long_captions_are_told_apart_behind_what_is_compared() -> None:
    """Two captions that differ in the last of 5,000 characters do not say the same."""
    one, other = "a cat " * 900, "a cat " * 899 + "a dog "
    assert tokens(one, "prose") == tokens(other, "prose")
    assert same(one, "prose", tokens(one, "prose")) != same(other, "prose", tokens(other, "prose"))
