"""diffusion-pipe: starts its script, and logs the loss of every example.

    deepspeed --num_gpus=1 --module loss_logging.integrations.trainers.diffusion_pipe train.py --deepspeed \\
        --config config.toml --loss_logging_config losses.toml

The script and its folder stay as they are. The loss is computed in DeepSpeed's last stage, of which every process is
one where ``pipeline_stages`` is 1.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.launcher import launch
from loss_logging.support.warn import LOGGER

if TYPE_CHECKING:
    from loss_logging.integrations.trainers.diffusion_pipe_run import Run

__all__ = ["main"]

_USAGE = "python -m loss_logging.integrations.trainers.diffusion_pipe train.py [arguments] [--loss_logging_config FILE]"
_NEEDED = {
    "utils.dataset": ("PipelineDataLoader", ("_pull_batches_from_dataloader",)),
    "utils.pipeline": ("ManualPipelineModule", ("_partition_layers",)),
    "utils.saver": ("Saver", ("save_checkpoint", "save_model")),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the script with its own arguments."""
    launch(_USAGE, "train.py", _wrap, arguments)


def _wrap(main: ModuleType, section: Mapping[str, Any]) -> Callable[[], object] | None:
    """Wrap what the script has imported, before a model is loaded; or say what was looked for in vain."""
    try:
        loader, pipeline, saver = (_find(module, *needed) for module, needed in _NEEDED.items())
    except LossLoggingError as error:
        LOGGER.error("%s: %s. No losses are logged; training goes on.", main.__file__, error)
        return None
    # Not at the top: it imports torch, which the script prepares for.
    from loss_logging.integrations.trainers.diffusion_pipe_run import Run

    run = Run(section)
    _keep_specs(getattr(sys.modules["utils.dataset"], "SizeBucketDataset", None))
    _after_init(loader, lambda self: run.see_loader(self))
    _wrap_pipeline(pipeline, run)
    _after_init(saver, lambda self: run.see_saver(self))
    return run.close


def _find(module: str, name: str, methods: Sequence[str]) -> Any:
    if module not in sys.modules:
        raise LossLoggingError(f"this is no script of diffusion-pipe: it does not import {module}")
    kind = getattr(sys.modules[module], name, None)
    missing = [f"{name}.{method}" for method in methods if not hasattr(kind, method)]
    if missing:
        raise LossLoggingError(
            f"this version of diffusion-pipe is not known: {module} has no {', '.join(missing)}. Use one that "
            "docs/diffusion_pipe.md names, or a newer loss_logging"
        )
    return kind


def _keep_specs(kind: Any) -> None:
    """Where ``uncond_fraction`` takes the caption, the empty one's encoding brings an ``image_spec`` of nothing."""
    if kind is None:
        return
    get_item = kind.__getitem__

    @functools.wraps(get_item)
    def item(self: Any, idx: int) -> Any:
        found = get_item(self, idx)
        if found.get("image_spec", ("", ""))[1] is None:
            found["image_spec"] = self.iteration_order[idx % len(self.iteration_order)]["image_spec"]
        return found

    kind.__getitem__ = item


def _after_init(kind: Any, then: Callable[[Any], None]) -> None:
    make = kind.__init__

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        then(self)

    kind.__init__ = init


def _wrap_pipeline(kind: Any, run: Run) -> None:
    make = kind.__init__

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("loss_fn") is not None:
            kwargs["loss_fn"] = run.seeing(kwargs["loss_fn"])
        make(self, *args, **kwargs)

    kind.__init__ = init


if __name__ == "__main__":
    main()
