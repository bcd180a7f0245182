from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from captioned_folders import PNG, kinds, read, write
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder

TEXT = "Une fenêtre – là, à côté d’un café crème"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8 with a byte order mark"),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16-le with"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16-be with"),
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "utf-32-le with"),
        (TEXT.encode("utf-16-le"), "utf-16-le,"),
        (TEXT.encode("utf-16-be"), "utf-16-be,"),
        (TEXT.encode("cp1252"), "cp1252,"),
    ],
)
def test_other_encodings(tmp_path: Path, data: bytes, encoding: str) -> None:
    """A caption in another encoding is read, and its encoding named."""
    write(tmp_path, {"1.png": PNG, "1.txt": data, "2.png": PNG, "2.txt": TEXT})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [TEXT, TEXT]
    assert kinds(problems) == {"not_utf8": 1}
    assert encoding in problems.kept[0].message
    assert problems.kept[0].path == str(tmp_path / "1.txt")


def test_a_folder_tells_more_than_a_caption() -> None:
    """One Cyrillic word fits many code pages; after a few captions of the folder the right one is known."""
    texts = ["кот", "кошка сидит на диване", "девушка в красном платье стоит у окна", "собака бежит по снегу", "кот"]
    decoder = TextDecoder()
    assert [decoder.decode(text.encode("koi8_r")).text for text in texts][-1] == "кот"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text[0] != "\ufeff"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_unicode_encodings_round_trip(text: str, encoding: str) -> None:
    """Whatever the text, each of the Unicode encodings is read as what was written."""
    decoded = TextDecoder().decode(text.encode(encoding))
    assert decoded.text == text
    assert decoded.plain == (encoding == "utf-8")


WESTERN = [
    "une",
    "fenêtre",
    "là",
    "près",
    "café",
    "crème",
    "ein",
    "Mädchen",
    "mit",
    "grünem",
    "Straße",
    "niño",
    "montaña",
    "São",
]


@given(st.lists(st.sampled_from(WESTERN), min_size=4))
def test_western_texts_round_trip(words: list[str]) -> None:
    """Western European captions in the code page of Windows are read as what was written."""
    text = " ".join(words)
    assert TextDecoder().decode(text.encode("cp1252")).text == text


@given(st.binary())
def test_decoding_never_fails_otherwise(data: bytes) -> None:
    """Any bytes are text or binary, whole or cut."""
    for cut in (False, True):
        try:
            assert isinstance(TextDecoder().decode(data, cut=cut).text, str)
        except BinaryDataError:
            assert data
