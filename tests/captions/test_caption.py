from __future__ import annotations

import re
import string

import pytest
from captions.read import read
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.caption import READ_LIMIT, count_words, guess_style, quote, tags, words
from loss_logging.captions.config import CaptionConfig


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("a black cat sleeps on a blue sofa", 8, 8),
        ("一只黑猫睡在蓝色的沙发上", 5, 9),
        ("青いソファの上で黒猫が眠っています", 6, 11),
        ("파란 소파 위에서 검은 고양이가 자고 있다", 7, 12),
        ("แมวดำนอนหลับอยู่บนโซฟาสีน้ำเงิน", 6, 11),
        ("một con mèo đen đang ngủ trên ghế", 8, 8),
        ("猫cat犬", 2, 3),
        ("", 0, 0),
    ],
)
def test_words_are_counted_in_every_script(text: str, least: int, most: int) -> None:
    """A caption has about as many words as its English translation, with or without spaces between them."""
    assert least <= count_words(text) <= most


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("sks", "instance"),
        ("sks dog", "instance"),
        ("猫", "instance"),
        ("1girl, solo, long hair, looking at viewer", "tags"),
        ("女孩，长发，蓝天", "tags"),
        ("a cat on a sofa", "prose"),
        ("On a small wooden table stands a vase, next to it lies an open book, and a cat watches", "prose"),
        ("a man, who is wearing a large red hat", "prose"),
    ],
)
def test_style_is_guessed_from_the_caption(text: str, style: str) -> None:
    """One or two words may be an instance prompt, short phrases between commas are tags, the rest is prose."""
    assert guess_style(text, count_words(text)) == style


def test_a_declared_profile_wins_over_the_guess() -> None:
    """What the user says about a dataset is not second-guessed."""
    declared = read("1girl, solo, long hair", CaptionConfig(default_profile="prose"))
    guessed = read("1girl, solo, long hair")
    assert (declared.style, declared.style_is_guessed) == ("prose", False)
    assert (guessed.style, guessed.style_is_guessed) == ("tags", True)


def test_a_huge_caption_is_cut() -> None:
    """No rule ever sees more than READ_LIMIT characters, and each can tell that there were more."""
    caption = read("a " * READ_LIMIT)
    assert (len(caption.text), caption.cut) == (READ_LIMIT, True)
    assert not read("a" * READ_LIMIT).cut


def test_tags_are_compared_without_case_and_empty_ones_are_none() -> None:
    """A trailing comma adds no tag."""
    assert tags("Solo, long hair,, 空、") == ["solo", "long hair", "空"]


@given(st.text(st.characters()))
def test_a_quotation_can_always_be_written_as_utf8(text: str) -> None:
    """Whatever a caption holds, its quotation is short and can be encoded."""
    assert len(quote("\ud800" + text)) <= 42 * len("\\U0010ffff") + 2
    quote("\ud800" + text).encode()


@given(st.text() | st.text(st.sampled_from(string.printable + "à猫แ。“")))
def test_words_are_what_punctuation_and_white_space_separate(text: str) -> None:
    """In a text of ASCII alone too, where bytes are looked up."""
    signs = ',.;:!?()[]{}*"“”„«»—…。，、！？；：（）「」'
    assert words(text) == "".join(" " if character in signs else character for character in text).split()


@given(st.text(st.sampled_from("a 猫ア한แြ𠀀,1")))
def test_characters_without_spaces_count_by_script(text: str) -> None:
    """Two characters of Chinese, Japanese and Korean make about a word, four of Thai and its neighbours."""
    far, south = sum(map("猫ア한𠀀".__contains__, text)), sum(map("แြ".__contains__, text))
    spaced = re.sub(r",(?=[^\s\d])|(?<=\D),(?=\S)", ", ", text)
    assert count_words(text) == -(-far // 2) + -(-south // 4) + len(re.sub("[猫ア한𠀀แြ]", " ", spaced).split())
