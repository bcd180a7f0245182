from __future__ import annotations

from checked import ENGLISH, checked, photos

from loss_logging.captions.config import CaptionConfig


def test_what_every_caption_says() -> None:
    """A warning for the dataset where it has a trigger; the trigger itself and grammar are not meant."""
    captions = [f"ohwx, {caption}, white background" for caption in photos(40)]
    (with_trigger,) = checked(captions, CaptionConfig(triggers={"d": "ohwx"})).datasets["d"].reasons
    assert (with_trigger.rule, with_trigger.severity) == ("common_token", "warning")
    assert "'white'" in with_trigger.message
    assert "ohwx" not in with_trigger.message
    (without,) = checked(captions).datasets["d"].reasons
    assert without.severity == "info"
    assert "'ohwx'" in without.message
    assert checked(ENGLISH).datasets["d"].reasons == []


def test_few_captions_cannot_tell() -> None:
    """Below twenty captions a word that all have is chance."""
    captions = [f"{caption}, white background" for caption in photos(19)]
    assert checked(captions).datasets["d"].reasons == []
    (more,) = checked([*captions, "a cat, white background"]).datasets["d"].reasons
    assert more.rule == "common_token"
