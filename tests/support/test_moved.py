"""loss_logging/support/moved.py"""

from __future__ import annotations

import importlib
import sys

import pytest

from loss_logging.captions.config import CaptionConfig
from loss_logging.support.moved import _MODULES


@pytest.mark.parametrize("old", _MODULES)
def test_an_old_module_path_works_for_one_release(old: str) -> None:
    """It is the module under its new name, and the warning names that one and the line that imports."""
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {_MODULES[old]};") as said:
        module = importlib.import_module(old)
    assert module is importlib.import_module(_MODULES[old])
    assert said[0].filename == __file__


def test_an_old_name_of_captions_works_for_one_release() -> None:
    """What the documents have shown as a name of loss_logging.captions is where it is now."""
    with pytest.warns(DeprecationWarning, match="is now loss_logging.captions.config.CaptionConfig"):
        from loss_logging.captions import CaptionConfig as Old
    assert Old is CaptionConfig


def test_other_names_are_unknown() -> None:
    """What was never documented is gone."""
    with pytest.raises(ImportError):
        importlib.import_module("loss_logging.recorder")
    with pytest.raises(ImportError):
        from loss_logging.captions import SEVERITIES  # type: ignore[attr-defined]  # noqa: F401
