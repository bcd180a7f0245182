from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loss_logging.captions.config import CaptionConfig, CaptionReading
from loss_logging.captions.encoder import TextEncoder
from loss_logging.captions.token_limits import FAMILIES
from loss_logging.captions.trainers import TRAINERS
from loss_logging.errors import ConfigError


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
