"""loss_logging/evaluation/pipelines.py"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from loss_logging.errors import ConfigError
from loss_logging.evaluation import pipelines
from loss_logging.evaluation.pipelines import ModelConfig, PipelineOnImages


class Mine:
    """A pipeline of somebody's library, for images of a multiple of 8 pixels."""

    resolution, multiple = 64, 8

    def __init__(self, folder: str, **options: Any) -> None:
        self.given = {"folder": folder, **options}

    def __call__(self, batch: Mapping[str, Any], draw: Any) -> Any:
        return [batch, draw, self.given]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package has registered it."""
    point = SimpleNamespace(name="mine", load=lambda: Mine)
    monkeypatch.setattr(pipelines, "entry_points", lambda group: {"loss_logging.pipelines": [point]}[group])


def test_a_registered_library_loads_its_pipelines() -> None:
    """With the folder, `paired` and the keys of the configuration that concern it."""
    compute = PipelineOnImages("models/x", ModelConfig(library="mine", dtype="float16"), paired=True)
    assert compute.resolution == 64
    batch, draw, given = compute({"paths": []}, 3)  # type: ignore[arg-type]
    assert (batch, draw) == ({"paths": []}, 3)
    others = {"device": None, "dtype": "float16", "snr_gamma": None, "guidance_scale": 3.5, "max_sequence_length": None}
    assert given == {"folder": "models/x", "paired": True, **others}


def test_a_resolution_must_suit_the_pipeline() -> None:
    """The configuration's, else the pipeline's own."""
    assert PipelineOnImages("x", ModelConfig(library="mine", resolution=40), paired=False).resolution == 40
    with pytest.raises(ConfigError, match=r"\$\.model\.resolution: got 41; allowed: a multiple of 8"):
        PipelineOnImages("x", ModelConfig(library="mine", resolution=41), paired=False)


def test_a_library_that_is_not_registered() -> None:
    """It is named with those that are."""
    with pytest.raises(ConfigError, match=r"\$\.library: got 'main'; allowed: 'mine'; did you mean mine"):
        ModelConfig(library="main")
    with pytest.raises(ConfigError, match=r"\$\.library: got 3; allowed: 'mine'"):
        ModelConfig(library=3)  # type: ignore[arg-type]
