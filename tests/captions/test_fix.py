from __future__ import annotations

import pytest
from captions.corpus import CORPUS, GOOD
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.fix import fixed

PIECES = ["&amp;", "&", "amp;", "#38;", "&lt;", "&#x26;", "Ã", "©", "â€™", "\u200b", "\x00", "\x1b[0m", " ", "\t", "\n"]
PIECES += ["\r\n", "\xa0", "a", "é", "猫", "\u200f", "א", "\ufeff", "\x85", "ð", "Ÿ", "\ud83d", "\ude00"]
DAMAGED = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=30).map("".join)


@pytest.mark.parametrize(
    ("damaged", "good"),
    [
        ("a cafÃ© in the snow", "a café in the snow"),
        ("IRMÃ® wool in a cafÃ©", "IRMÃ® wool in a café"),
        ("CAFÃ‰ by JosÃ© in MÃ©xico", "CAFÉ by José in México"),
        ("itâ€™s raining", "it’s raining"),
        ("salt &amp; pepper", "salt & pepper"),
        ("salt &amp;amp; pepper", "salt & pepper"),
        ("a\u200b cat\ufeff", "a cat"),
        ("  a   cat\t on\xa0a sofa \r\n in the  sun \n", "a cat on a sofa\nin the sun"),
        ("a cat\x00 \x1b[31mred\x1b[0m", "a cat red"),
    ],
)
def test_damage_is_repaired(damaged: str, good: str) -> None:
    """Mojibake, entities, invisible and control characters, white space."""
    assert fixed(damaged) == good


@pytest.mark.parametrize("caption", [caption for captions in GOOD.values() for caption in captions])
def test_good_captions_stay_as_they_are(caption: str) -> None:
    """Joiners, hints, quotes, full-width signs and line breaks are not touched."""
    assert fixed(caption) == caption.strip()


@pytest.mark.parametrize(
    "caption",
    [
        "IRMÃ® wool",
        "wool by IRMÃ©, 2020",
        "a label: SÃO JOÃ®.",
        "a &notaname; b",
        "AT&T",
        "&#0;",
        "a cat \ufffd",
        "I'm sorry, but I can't.",
        "&amp;" * 9**6,
    ],
)
def test_the_rest_is_left_alone(caption: str) -> None:
    """What is no entity, what cannot be known, what needs a person, and what is far too long for a caption."""
    assert fixed(caption) == caption


@settings(deadline=None)
@given(DAMAGED)
def test_repairing_twice_is_repairing_once(caption: str) -> None:
    """fixed(fixed(x)) == fixed(x), for any text."""
    once = fixed(caption)
    assert fixed(once) == once


def test_a_name_with_a_sign_is_no_mojibake() -> None:
    """A capital name with (R) or (C) after it is neither objected to nor repaired."""
    assert CaptionChecker().check("a scarf of IRMÃ® wool on a table", "d") is None
    assert CaptionChecker().check("a scarf of IRMÃ® wool in a cafÃ©", "d") is not None


def test_what_is_repaired_is_not_objected_to() -> None:
    """The rules and the repairs agree about entities and invisible characters."""
    check = CaptionChecker().check
    for case in CORPUS:
        if case.rules & {"encoding", "markup"} and (verdict := check(fixed(case.caption), "any")):
            assert not any("--fix" in reason.message for reason in verdict.reasons), case
