"""Encodings on disk (integrations/trainers/diffusers_encodings.py), with pipelines of a few thousand parameters"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import flux, stable_diffusion_xl

from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.tensor_cache import TensorCache
from loss_logging.integrations.trainers.diffusers import PipelineLoss
from loss_logging.integrations.trainers.diffusers_encodings import fingerprint


def batch() -> dict[str, Any]:
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return {"paths": ["a.png", "b.png"], "captions": ["a cat", "two dogs"], "datasets": "d", "pixel_values": pixels}


@pytest.mark.parametrize("make", [stable_diffusion_xl, flux])
def test_the_second_evaluation_encodes_nothing(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its losses are those of one without a cache, to the last digit; neither text encoders nor VAE run."""
    pipeline, cache = make(), TensorCache(tmp_path, 10**9)
    plain = PipelineLoss(pipeline, paired=True)(batch(), Draw(0, 0, 4))
    first = PipelineLoss(pipeline, paired=True, cache=cache)(batch(), Draw(0, 0, 4))
    monkeypatch.setattr(pipeline, "encode_prompt", None)
    monkeypatch.setattr(pipeline.vae, "encode", None)
    second = PipelineLoss(pipeline, paired=True, cache=cache)(batch(), Draw(0, 0, 4))
    assert [(r.loss, r.loss_empty) for r in first] == [(r.loss, r.loss_empty) for r in second]
    assert [r.loss for r in plain] == pytest.approx([r.loss for r in first], rel=1e-6)


def test_what_encodings_depend_on_is_in_the_fingerprint() -> None:
    """A weight, an adapter's strength, the precision and a tokenizer's word each make another one; a second look does
    not."""
    pipeline = stable_diffusion_xl()
    model, tokenizer = pipeline.text_encoder, pipeline.tokenizer

    def now() -> str:
        return fingerprint([model, tokenizer, None], "more")

    seen = [now()]
    assert now() == seen[0] != fingerprint([model, tokenizer, None], "other")
    with torch.no_grad():
        model.get_input_embeddings().weight[-1, -1] += 1
    seen.append(now())
    layer = model.get_input_embeddings()
    layer.active_adapters, layer.disable_adapters = ["one"], False  # as layers of PEFT have them
    for strength in (1.0, 0.5):
        layer.scaling = {"one": strength}
        seen.append(now())
    model.to(torch.bfloat16)
    seen.append(now())
    tokenizer.add_tokens(["<new>"])
    seen.append(now())
    assert len(set(seen)) == 6
