"""The conformance suite for trainers, on our own adapters and the real trainers."""

from __future__ import annotations

from typing import Any

import pytest

from loss_logging.testing.trainer_conformance import *  # noqa: F403

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*treespec"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]


@pytest.fixture(params=["lightning", pytest.param("transformers", marks=pytest.mark.long)])
def loss_logging_trainer(request: pytest.FixtureRequest) -> Any:
    """Each adapter whose trainer takes a small training within seconds."""
    pytest.importorskip(request.param)
    return f"conforming:train_{request.param}"
