from __future__ import annotations

import importlib
import sys

import pytest
from captions.read import read

from loss_logging.captions import characters
from loss_logging.captions.rules.encoding import _LOST, _PRINTED, encoding


@pytest.mark.parametrize(
    ("token", "severity"),
    [
        *((token, "error") for token in ["\ufffd", "\ud800", "\\ud800", "\\u00e9", "\\xe9", "\\U0001f431"]),
        *((token, "error") for token in ["\\n", "\\r\\n"]),
        *((token, "warning") for token in ["\x00", "\x07", "\x7f", "\x9d", "\ufeff", "\u200b", "\u202e", "\xad"]),
    ],
)
def test_damage_is_found_and_marked(token: str, severity: str) -> None:
    """The span is exactly the damage, and the message can be written as UTF-8."""
    reason = encoding(read(f"a dog {token} in the snow"))
    assert reason is not None
    assert (reason.rule, reason.severity) == ("encoding", severity)
    assert reason.span == (6, 6 + len(token))
    reason.message.encode()


@pytest.mark.parametrize(
    "text",
    [
        "YSBjYXQgb24gYSBzb2Zh",  # a cat on a sofa
        "QSB3b21hbiB3YWl0cyBmb3IgdGhlIHRyYW0_",
        "0YDRi9C20LjQuSDQutC-0YI=",
        "data:text/plain;base64,YSBjYXQ=",
        "data:image/png;base64,iVBORw0KGgo=",
        "/9j/4AAQSkZJRgABAQAAAQABAAD" + "A" * 60,
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB" + "CAYAAAAfFcSJ" * 5,
        "a%20cat%20on%20a%20sofa",
        "a photo, red%20cat",
        "%D1%80%D1%8B%D0%B6%D0%B8%D0%B9%20%D0%BA%D0%BE%D1%82",
        "caf%C3%A9 in Paris",
        "%u0430%u0431%u0432",
        "A+cat+on+a+red+sofa",
        "caf=C3=A9 in Paris at night",
        "=?utf-8?B?YSBjYXQ=?=",
        'a sign that reads \\"open\\" on a door',
        "a cat\\'s paw",
    ],
)
def test_text_that_was_never_decoded_is_an_error(text: str) -> None:
    """Base64, URLs' and mails' escapes, and quotes behind a backslash."""
    reason = encoding(read(text))
    assert reason is not None
    assert reason.severity == "error"
    assert reason.span is not None


@pytest.mark.parametrize(
    "text",
    [
        "supercalifragilisticexpialidocious",
        "masterpiece_best_quality_1girl_solo",
        "Donaudampfschifffahrtsgesellschaft",
        "a/very/long/path/of/words/in/one",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "50% off, 20%20 vision, 100%25",
        "red+blue+green+white",
        "1girl+solo, C++ and a + b",
        "E=mc2 on a blackboard, a=b",
        "the year 1984%, 5%A",
        r"saber \(fate\), \"/, >:\'(",
        r'{"sign": "it reads \"open\""}',
        "ohwxmanohwxmanohwxmanohwx",
    ],
)
def test_what_only_looks_encoded_is_fine(text: str) -> None:
    """Long words, percentages and sums."""
    assert encoding(read(text)) is None


def test_a_lost_character_matters_more_than_a_mark() -> None:
    """The worst is reported, wherever it stands."""
    reason = encoding(read("\ufeffa caf\ufffd in the snow"))
    assert reason is not None
    assert reason.severity == "error"


def test_the_commonest_mojibake_is_found_without_ftfy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package finds more."""
    module = importlib.import_module("loss_logging.captions.rules.encoding")
    monkeypatch.setattr(module, "_is_bad", lambda: lambda text: False)
    for text in ("a cafÃ© in the snow", "itâ€™s a dog", "Â© 2020 by a dog", "ðŸ˜€ a dog"):
        assert encoding(read(text)) is not None


@pytest.mark.parametrize(
    "text",
    ["a cat.\\nThe dog sleeps", "a cat.\\n\\nthe dog", "a cat\\n- a dog", "a cat,\\na dog", "a cat on a sofa\\n"],
)
def test_a_line_end_that_was_never_decoded(text: str) -> None:
    """As JSON writes it, in the middle of a caption or at its end."""
    reason = encoding(read(text))
    assert reason is not None
    assert reason.span is not None
    assert text[slice(*reason.span)].startswith("\\n")


@pytest.mark.parametrize(
    "text", [r"C:\new\notes on a screen", r"\nabla f on a board", r"\m/ and \o/", r"a \(cat\), \n/", r'{"a": "b.\nC"}']
)
def test_other_signs_behind_a_backslash_are_fine(text: str) -> None:
    """Paths, formulas, emoticons and escaped brackets are what somebody wrote."""
    assert encoding(read(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "»Spaß« steht da",
        "« voilà\xa0»",
        "CAFÉ™ and CAFÉ®",
        "30°C über Null",
        "naïve façade, 5 µm",
        "2 × 3 ÷ 4",
        "Ærøskøbing",
    ],
)
def test_signs_beside_letters_are_no_mojibake(text: str) -> None:
    """Quotation marks, degrees and trade marks follow accented letters in good text."""
    assert encoding(read(text)) is None


def test_a_printable_text_needs_no_second_look() -> None:
    """Of all lost, control and invisible characters, Python takes two for printable."""
    text = "".join(map(chr, range(sys.maxunicode + 1)))
    found = {one for pattern in (_LOST, characters.CONTROLS, characters._ANY) for one in pattern.findall(text)}
    assert set(filter(str.isprintable, found)) == set(_PRINTED)
