"""SimpleTuner's data backends without what is excluded."""

from __future__ import annotations

import functools
import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from loss_logging.integrations.trainers.replaced import replaced
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.warn import LOGGER

__all__ = ["backends_without"]

_SEAMS = (
    ("simpletuner.helpers.metadata.backends.base", "MetadataBackend", "split_buckets_between_processes"),
    ("simpletuner.helpers.data_backend.factory", "FactoryRegistry", "_handle_bucket_operations"),
)


def backends_without(exclusions: Exclusions) -> AbstractContextManager[None]:
    """While backends are made and train, their lists of files are without what is excluded: before they are divided
    into batches and between processes, and cached; also when they are made anew at an epoch's end.

    Args:
        exclusions: of the training.
    """
    try:
        kinds = [getattr(importlib.import_module(module), kind) for module, kind, _ in _SEAMS]
        split, handle = (getattr(kind, name) for kind, (_, _, name) in zip(kinds, _SEAMS, strict=True))
    except (ImportError, AttributeError) as error:
        LOGGER.warning(
            "SimpleTuner: nothing is left out: this version is not known (%s); make a folder without what is excluded "
            "with loss-logging apply (docs/cleaning.md)",
            error,
        )
        return nullcontext()

    @functools.wraps(split)
    def split_without(self: Any, *args: Any, **kwargs: Any) -> Any:
        _leave_out(self, exclusions)
        return split(self, *args, **kwargs)

    @functools.wraps(handle)
    def handle_without(self: Any, backend: Any, init_backend: Any, *args: Any, **kwargs: Any) -> Any:
        result = handle(self, backend, init_backend, *args, **kwargs)
        _leave_out(init_backend["metadata_backend"], exclusions)  # where it has not been split
        return result

    names = [name for _, _, name in _SEAMS]
    return replaced(*zip(kinds, names, (split_without, handle_without), strict=True))


def _leave_out(backend: Any, exclusions: Exclusions) -> None:
    buckets = backend.aspect_ratio_bucket_indices
    paths = [str(path) for bucket in buckets.values() for path in bucket]
    kept = exclusions.kept(paths, str(backend.id))
    if len(kept) < len(paths):
        stay = {paths[place] for place in kept}
        rest = {name: [path for path in bucket if str(path) in stay] for name, bucket in buckets.items()}
        backend.aspect_ratio_bucket_indices = {name: bucket for name, bucket in rest.items() if bucket}
        backend.read_only = True  # its own list on disk stays whole
