from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

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
from loss_logging.captions.reason import Reason
from loss_logging.captions.token_limits import FAMILIES
from loss_logging.captions.trainers import TRAINERS
from loss_logging.errors import ConfigError

LONG = "a red fox walks through deep snow under tall pines while two crows watch from a fallen log, " * 6


def truncated(config: dict[str, str]) -> Reason | None:
    """What the rule says about `LONG`."""
    verdict = CaptionChecker(msgspec.convert(config, CaptionConfig)).check(LONG, "d")
    return next((reason for reason in verdict.reasons if reason.rule == "truncated"), None) if verdict else None


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


def test_limits_by_family() -> None:
    """Each family of models reads its number of tokens; max_tokens overrides it."""
    for model, limit in {"sd15": 75, "sdxl": 75, "sd3": 255, "flux": 511, "hidream": 127}.items():
        config = msgspec.convert({"model": model}, CaptionConfig)
        assert TextEncoder.of(config).limit == limit
        assert TextEncoder.of(msgspec.structs.replace(config, reading=CaptionReading(max_tokens=225))).limit == 225


# What a family reads by itself and with trainers that set another number; CLIP's two tokens and T5's end are taken off.
SHORTENED = [
    *(("sd3", trainer, limit) for trainer, limit in ((None, 255), ("diffusers", 76), ("onetrainer", 76))),
    *(("sd3", trainer, limit) for trainer, limit in (("simpletuner", 153), ("kohya", 255), ("ai-toolkit", 255))),
    *(("flux", trainer, limit) for trainer, limit in (("onetrainer", 76), ("kohya", 511), ("simpletuner", 511))),
    *(("flux-schnell", None, 255), ("chroma", None, 511), ("wan", "musubi", 511), ("hunyuan-video", "onetrainer", 77)),
    *(("qwen-image", None, 512), ("qwen-image", "musubi", 1024), ("qwen-image", "onetrainer", 512)),
    *(("ltx-video", None, 127), ("ltx-video", "simpletuner", 225), ("ltx-2", None, 1023), ("cogvideox", None, 225)),
    *(("cogview4", None, 1024), ("cogview4", "diffusers", 128), ("sana", None, 299), ("pixart-alpha", None, 119)),
    *(("pixart-sigma", None, 299), ("pixart-sigma", "onetrainer", 119), ("auraflow", "simpletuner", 119)),
    *(("hidream", None, 127), ("kolors", None, 256), ("omnigen2", None, 256), ("ideogram4", "ai-toolkit", 3072)),
    *(("hunyuan-image", "kohya", 1024), ("hunyuan-video-1.5", None, 1000), ("kandinsky5", "musubi", 256)),
]


@pytest.mark.parametrize(("model", "trainer", "limit"), SHORTENED)
def test_how_trainers_shorten_a_family(model: str, trainer: Any, limit: int) -> None:
    """One model reads another number of tokens with each trainer."""
    assert TextEncoder.of(CaptionConfig(model=model, trainer=trainer)).limit == limit


def test_templates_take_tokens() -> None:
    """A system message or chat template is in the number that the pipeline gives, so that less is left."""
    for model in ("flux2", "z-image", "lumina2"):
        assert FAMILIES[model].tokens - 60 <= TextEncoder.of(CaptionConfig(model=model)).limit < FAMILIES[model].tokens


def test_families() -> None:
    """Every family of the table is known, names a trainer that is known, and leaves something to read."""
    assert len(FAMILIES) >= 25
    for name, family in FAMILIES.items():
        assert set(family.trainers) <= set(TRAINERS)
        assert all(TextEncoder.of(CaptionConfig(model=name, trainer=one)).limit > 70 for one in TRAINERS)
    with pytest.raises(ConfigError, match=r"got 'qwen_image' .*; allowed: .*did you mean qwen-image"):
        CaptionConfig(model="qwen_image")
    with pytest.raises(ConfigError, match=r"got .onetrainr. .*allowed: .kohya.*did you mean onetrainer"):
        CaptionConfig(trainer="onetrainr")  # type: ignore[arg-type]


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


def test_the_lost_words_are_shown() -> None:
    """A warning where the model is known, an info where it is not, and nothing where everything is read."""
    reason, assumed, read = (truncated(config) for config in ({"model": "sdxl"}, {}, {"model": "flux"}))
    assert reason is not None
    assert reason.severity == "warning"
    assert reason.span is not None
    assert LONG[slice(*reason.span)].split()[0] in reason.message
    assert assumed is not None
    assert assumed.severity == "info"
    assert read is None


def test_only_the_first_line_is_read() -> None:
    """Where the trainer reads one line, the others are lost."""
    verdict = CaptionChecker(CaptionConfig(reading=CaptionReading(first_line_only=True))).check(
        "a cat on a sofa\nin the morning sun", "d"
    )
    assert verdict is not None
    assert (verdict.rules, verdict.severity) == (["truncated"], "warning")


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
