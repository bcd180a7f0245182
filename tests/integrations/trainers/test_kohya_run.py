"""A run of one of kohya's trainers: the model is known by the trainer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kohya_runs import Base

pytest.importorskip("accelerate")


class SdxlNetworkTrainer:
    """Named as in sdxl_train_network.py."""


class FluxNetworkTrainer:
    """Named as in flux_train_network.py."""


@pytest.mark.parametrize(
    ("kind", "args", "model", "tokens"),
    [
        (SdxlNetworkTrainer, {"max_token_length": None}, "sdxl", 75),
        (SdxlNetworkTrainer, {"max_token_length": 225}, "sdxl", 225),
        (FluxNetworkTrainer, {"max_token_length": 225, "t5xxl_max_token_length": None}, "flux", 511),
        (FluxNetworkTrainer, {"t5xxl_max_token_length": 128}, "flux", 127),
        (FluxNetworkTrainer, {"t5xxl_max_token_length": None, "model_type": "chroma"}, "chroma", 511),
        (Base, {}, "wan", 511),
    ],
)
def test_nobody_has_to_name_the_model(
    kind: type, args: dict[str, Any], model: str, tokens: int, tmp_path: Path
) -> None:
    """The trainer's class and arguments say it, and the token limit; what the section says goes before."""
    from loss_logging.captions.encoder import TextEncoder
    from loss_logging.integrations.trainers.kohya_run import Run

    network = SimpleNamespace(save_weights=print)
    for section, name in (({}, model), ({"captions": {"model": "sd3", "max_words": 9}}, "sd3")):
        losses = Run(
            {"loss_logging": {"loggers": [], "reporter": "inline", **section}},
            SimpleNamespace(output_dir=str(tmp_path), output_name="a", initial_step=None, **args),
            kind(),
        )._begin(0, SimpleNamespace(is_main_process=False, unwrap_model=lambda network: network), network)
        captions = losses.config.captions
        assert (captions.model, captions.max_words) == (name, 9 if section else 380)
        assert section or TextEncoder.of(captions).limit == tokens
        losses.close()
