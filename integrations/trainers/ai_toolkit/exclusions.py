"""ai-toolkit's datasets without what is excluded."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from loss_logging.integrations.trainers.ai_toolkit.items import folder_of
from loss_logging.integrations.trainers.replaced import replaced
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.warn import LOGGER

__all__ = ["datasets_without"]

_MODULE = "toolkit.data_loader"


def datasets_without(exclusions: Exclusions, names: Mapping[str, str]) -> AbstractContextManager[None]:
    """Datasets that are made in the block have listed their files, and then, before they make buckets and caches of
    them, forget those that are excluded.

    Args:
        exclusions: of the training.
        names: of each folder's dataset.
    """
    kind: Any = getattr(sys.modules.get(_MODULE), "AiToolkitDataset", None)
    setup = getattr(kind, "setup_epoch", None)
    if setup is None:
        LOGGER.warning(
            "ai-toolkit: nothing is left out: there is no %s.AiToolkitDataset.setup_epoch; make a folder without what "
            "is excluded with loss-logging apply (docs/cleaning.md)",
            _MODULE,
        )
        return nullcontext()

    @functools.wraps(setup)
    def setup_epoch(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.epoch_num == 0:
            folder = folder_of(self.dataset_config)
            kept = exclusions.kept([str(item.path) for item in self.file_list], names.get(folder, folder))
            self.file_list = [self.file_list[place] for place in kept]
        return setup(self, *args, **kwargs)

    return replaced((kind, "setup_epoch", setup_epoch))
