from __future__ import annotations

import pytest

from loss_logging.errors import ConfigError
from loss_logging.evaluation.config import EvaluateConfig


def test_an_engine_that_is_not_there() -> None:
    """The error lists the engines that are installed, and the near miss."""
    with pytest.raises(
        ConfigError, match=r"\$\.engine: there is no engine 'rai'; did you mean ray\?; allowed: 'local', 'ray'"
    ):
        EvaluateConfig(data="p", pipeline="x", save_root="r", engine="rai")
