from __future__ import annotations

import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.captions.corpus import GOOD
from tokenizers import Tokenizer, models, pre_tokenizers

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig, CaptionReading
from loss_logging.captions.dataset_checker import DatasetChecker
from loss_logging.captions.encoder import TextEncoder, clip_tokenizer
from loss_logging.errors import ConfigError

LONG = "a red fox walks through deep snow under tall pines while two crows watch from a fallen log, " * 6


def count_letters(text: str) -> int:
    return len(text)


def test_clip_counts_as_clip_does() -> None:
    """Its own byte-pair encoding, without torch: known ids of a known sentence."""
    encode = clip_tokenizer()
    assert encode is not None
    ids = [320, 1771, 539, 1656, 631, 9975, 7050, 3141, 320, 4629]
    assert encode("A group of men are loading cotton onto a truck") == ids


@pytest.mark.parametrize("model", ["sdxl", "flux"])
def test_accents_count_once_however_they_are_written(model: str) -> None:
    """A letter and its accent in two characters, as macOS writes names, count as the one character they are."""
    text = "café à la crème brûlée, über naïve Ærøskøbing, 가나다"
    encoder = TextEncoder.of(msgspec.convert({"model": model}, CaptionConfig))
    assert encoder.count(unicodedata.normalize("NFD", text)) == encoder.count(text)


@given(st.lists(st.sampled_from([*GOOD["ru"], *GOOD["zh"], *GOOD["th"]]) | st.text(max_size=20), max_size=4))
def test_counting_word_by_word_is_counting_the_text(parts: list[str]) -> None:
    """As many tokens as CLIP's own encoding of the whole text has: over all scripts, white space and marks."""
    encode, text = clip_tokenizer(), " ".join(parts)
    assert encode is not None
    assert TextEncoder.of(CaptionConfig(model="sdxl")).count(text) == len(encode(text))


def test_special_tokens_count_as_one() -> None:
    """What CLIP's tokenizer knows as one token is one."""
    encode = clip_tokenizer()
    assert encode is not None
    assert encode("a cat<|endoftext|> b <|endoftext|>") == [*encode("a cat"), 49_407, *encode(" b "), 49_407]


def test_an_estimate_says_that_it_is_one() -> None:
    """Where tokens were estimated and something was found by that, a warning says so; where they were counted, none."""
    for model, warned in (("sdxl", 0), ("sd3", 1)):
        checker = DatasetChecker(CaptionConfig(model=model, max_words=2_000))
        checker.add("1.png", "d", LONG * 4)
        assert sum("estimated" in warning for warning in checker.finish().warnings) == warned


@pytest.mark.parametrize("text", [LONG, "一只黑猫睡在蓝色的沙发上" * 9, "แมวนั่งบนโซฟา" * 9, "x" * 3_000, "é " * 400])
def test_the_end_is_where_the_limit_falls(text: str) -> None:
    """What comes before it fits, and the next word (or character) does not."""
    encoder = TextEncoder.of(CaptionConfig(model="sdxl"))
    found = encoder.read(text)
    assert found is not None
    tokens, end = found
    assert tokens == encoder.count(text)
    assert encoder.count(text[:end]) <= 75
    following = text[end:].split()[0] if " " in text else text[end : end + 1]
    assert encoder.count(text[: end + 1 + len(following)]) > 75 or text.isascii()


def test_what_begins_with_nothing_to_read() -> None:
    """Blanks without any token, before a text that is too long."""
    assert TextEncoder.of(CaptionConfig(model="sdxl")).read(" " * 4_000 + "cat " * 100) == (100, 4_299)


def test_tokenizers_of_every_kind(tmp_path: Path) -> None:
    """A callable, the name of one, and a tokenizer.json count alike."""
    config = CaptionConfig(reading=CaptionReading(max_tokens=10))
    given = CaptionChecker(config, tokenizer=count_letters)
    named = CaptionChecker(CaptionConfig(reading=CaptionReading(max_tokens=10, tokenizer=f"{__name__}:count_letters")))
    for checker in (given, named):
        verdict = checker.check("a cat on a sofa", "d")
        assert verdict is not None
        assert verdict.reasons[0].span == (10, 15)
    path = tmp_path / "tokenizer.json"
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    by_words = CaptionChecker(CaptionConfig(reading=CaptionReading(max_tokens=3, tokenizer=str(path))))
    verdict = by_words.check("a cat on a sofa", "d")
    assert verdict is not None
    assert verdict.reasons[0].span == (8, 15)


def test_without_a_tokenizer_the_estimate_is_near() -> None:
    """Tokens by words are within a fifth of CLIP's on English prose, and the message says "About"."""
    estimated, real = TextEncoder.of(CaptionConfig(model="flux")), TextEncoder.of(CaptionConfig(model="sdxl"))
    assert estimated.estimated
    assert estimated.count(LONG) == pytest.approx(real.count(LONG), rel=0.2)
    verdict = CaptionChecker(CaptionConfig(model="sd3")).check(LONG * 4, "d")
    assert verdict is not None
    assert any(reason.message.startswith("About") for reason in verdict.reasons)


@pytest.mark.parametrize("name", ["no_such_module:f", "json:no_such", "os:sep", "missing.json", "nonsense"])
def test_a_tokenizer_that_is_none_is_refused(name: str) -> None:
    """The error names it."""
    with pytest.raises(ConfigError, match=r"\$\.reading\.tokenizer: "):
        CaptionChecker(CaptionConfig(reading=CaptionReading(tokenizer=name)))
