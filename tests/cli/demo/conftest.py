from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging.cli.demo.data import Sample, load_samples


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return load_samples(Path("images"), seed=0)
