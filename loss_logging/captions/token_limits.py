"""The token limit of each family of models, and the limits of trainers that set another number.

Source: diffusers 0.42.1 and the trainers at the commits in `loss_logging.captions.trainers`, read on 2026-11-28.
"""

from __future__ import annotations

import msgspec

__all__ = ["FAMILIES", "Family", "caption_tokens"]


class Family(msgspec.Struct, frozen=True):
    """The text encoder of a family of models; for several encoders, the one that reads the most tokens.

    Args:
        encoder: its name.
        tokens: the number of tokens that it reads, special ones included.
        own: number of special tokens among ``tokens``: CLIP's start and end, T5's end.
        template: number of tokens among ``tokens`` of a system message or chat template; estimated from words.
        trainers: by trainer, the value of ``tokens`` if the trainer sets another one.
    """

    encoder: str
    tokens: int
    own: int = 0
    template: int = 0
    trainers: dict[str, int] = {}


FAMILIES: dict[str, Family] = {
    "sd15": Family("CLIP", 77, own=2),
    "sdxl": Family("CLIP", 77, own=2),
    "sd3": Family("T5", 256, own=1, trainers={"diffusers": 77, "onetrainer": 77, "simpletuner": 154}),
    "flux": Family("T5", 512, own=1, trainers={"onetrainer": 77}),
    "flux-schnell": Family("T5", 256, own=1, trainers={"onetrainer": 77}),
    "flux2": Family("Mistral or Qwen3", 512, template=40),
    "chroma": Family("T5", 512, own=1),
    "qwen-image": Family("Qwen2.5-VL", 512, trainers={"musubi": 1024, "diffusion-pipe": 1024}),
    "z-image": Family("Qwen3", 512, template=10),
    "wan": Family("uMT5", 512, own=1),
    "hunyuan-video": Family("Llama", 256, trainers={"onetrainer": 77}),
    "hunyuan-video-1.5": Family("Qwen2.5-VL", 1000, trainers={"kohya": 1024, "musubi": 1024}),
    "hunyuan-image": Family("Qwen2.5-VL", 1000, trainers={"kohya": 1024, "musubi": 1024}),
    "ltx-video": Family("T5", 128, own=1, trainers={"simpletuner": 226}),
    "ltx-2": Family("Gemma 3", 1024, own=1),
    "cogvideox": Family("T5", 226, own=1),
    "cogview3": Family("T5", 224, own=1),
    "cogview4": Family("GLM", 1024, trainers={"diffusers": 128}),
    "sana": Family("Gemma 2", 300, own=1),
    "lumina2": Family("Gemma 2", 256, own=1, template=30, trainers={"simpletuner": 512}),
    "pixart-alpha": Family("T5", 120, own=1),
    "pixart-sigma": Family("T5", 300, own=1, trainers={"onetrainer": 120}),
    "hidream": Family("T5", 128, own=1),
    "auraflow": Family("Pile-T5", 256, own=1, trainers={"simpletuner": 120}),
    "kolors": Family("ChatGLM", 256),
    "omnigen": Family("Phi-3", 120_000),
    "omnigen2": Family("Qwen2.5-VL", 256),
    "krea2": Family("Qwen3-VL", 512),
    "ernie-image": Family("a language model", 512),
    "anima": Family("T5", 512, own=1),
    "ideogram4": Family("a language model", 2048, trainers={"ai-toolkit": 3072}),
    "bria": Family("T5", 128, own=1),
    "fibo": Family("a language model", 3000),
    "mochi": Family("T5", 256, own=1),
    "allegro": Family("T5", 512, own=1),
    "cosmos": Family("T5", 512, own=1),
    "kandinsky5": Family("Qwen2.5-VL", 512, trainers={"musubi": 256, "simpletuner": 256}),
}
"""By the name that ``CaptionConfig(model=...)`` takes."""


def caption_tokens(model: str, trainer: str | None = None) -> int:
    """The number of tokens that are left for a caption.

    >>> caption_tokens("sdxl"), caption_tokens("sd3"), caption_tokens("sd3", "onetrainer"), caption_tokens("flux")
    (75, 255, 76, 511)
    """
    family = FAMILIES[model]
    return family.trainers.get(trainer or "", family.tokens) - family.own - family.template
