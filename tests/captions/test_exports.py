from __future__ import annotations

import subprocess
import sys

import loss_logging.captions as captions


def test_every_exported_name_exists() -> None:
    """__all__ is true, sorted as the linter wants it, and holds what the rest of the package uses."""
    assert all(hasattr(captions, name) for name in captions.__all__)
    assert {"CaptionChecker", "CaptionConfig", "flag_bad_captions", "flagged_order"} <= set(captions.__all__)


def test_rules_need_no_framework() -> None:
    """Checking captions imports neither torch nor a tracker."""
    code = "import sys, loss_logging.captions; print({'torch', 'wandb', 'tensorboard'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
