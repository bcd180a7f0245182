"""loss_logging/integrations/trainers/model_family.py"""

from __future__ import annotations

import pytest

from loss_logging.captions.token_limits import FAMILIES
from loss_logging.integrations.trainers.model_family import captions_of, family_of


@pytest.mark.parametrize(
    ("names", "family"),
    [
        ("NetworkTrainer SD STABLE_DIFFUSION_15_INPAINTING STABLE_DIFFUSION_21 sd1 sd2 sd1x", "sd15"),
        ("SdxlNetworkTrainer sdxl STABLE_DIFFUSION_XL_10_BASE vega", "sdxl"),
        ("Sd3NetworkTrainer sd3 STABLE_DIFFUSION_35", "sd3"),
        ("FluxNetworkTrainer flux flux_kontext FLUX_FILL_DEV_1", "flux"),
        ("flux2 FLUX_2 flux_2_dev flux_2_klein_4b flux2_klein_9b", "flux2"),
        ("chroma CHROMA_1 chroma_radiance", "chroma"),
        ("LuminaNetworkTrainer lumina2 lumina_2", "lumina2"),
        ("HunyuanImageNetworkTrainer hunyuan_image", "hunyuan-image"),
        ("hunyuan_video HUNYUAN_VIDEO hunyuan-video framepack", "hunyuan-video"),
        ("hunyuan_video_1_5 hunyuan_video_15", "hunyuan-video-1.5"),
        ("AnimaNetworkTrainer ANIMA anima", "anima"),
        ("qwen_image QWEN qwen_image_edit_plus qwen_image_layered", "qwen-image"),
        ("z_image Z_IMAGE zimage z-image", "z-image"),
        ("wan wan21 wan22_14b_i2v", "wan"),
        ("kandinsky5 kandinsky5-video", "kandinsky5"),
        ("krea2 KREA_2", "krea2"),
        ("ideogram4 IDEOGRAM_4", "ideogram4"),
        ("HI_DREAM_FULL hidream hidream_e1", "hidream"),
        ("pixart PIXART_ALPHA", "pixart-alpha"),
        ("PIXART_SIGMA pixart_sigma", "pixart-sigma"),
        ("ltx-video ltxvideo", "ltx-video"),
        ("ltx2 ltx2.3", "ltx-2"),
        ("cosmos cosmos_predict2", "cosmos"),
        ("ernie_image ERNIE", "ernie-image"),
        ("omnigen2", "omnigen2"),
        (
            "WUERSTCHEN_2 STABLE_CASCADE_1 hidream_o1 hidream_o1_image zeta_chroma ace_step_15 TinyTrainer",
            None,
        ),
    ],
)
def test_trainers_names_of_a_family(names: str, family: str | None) -> None:
    """As sd-scripts' classes, musubi-tuner's architectures and the other trainers' settings call them."""
    assert {name: family_of(name) for name in names.split()} == dict.fromkeys(names.split(), family)


def test_a_family_has_its_own_name() -> None:
    """Each of our names is the name of that family."""
    assert {name: family_of(name) for name in FAMILIES} == {name: name for name in FAMILIES}


def test_a_limit_that_the_trainer_was_given_is_less_what_it_adds() -> None:
    """T5's end token is not the caption's; CLIP's blocks of 75 are the caption's alone."""
    flux = captions_of("kohya", ["FluxNetworkTrainer"], tokens=256)
    assert flux == {"trainer": "kohya", "model": "flux", "reading": {"max_tokens": 255}}
    assert captions_of("kohya", ["TinyTrainer", "NetworkTrainer"]) == {"trainer": "kohya", "model": "sd15"}
    assert captions_of("onetrainer", ["WUERSTCHEN_2"], tokens=77) == {"trainer": "onetrainer"}
