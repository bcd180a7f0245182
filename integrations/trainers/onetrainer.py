"""OneTrainer: starts one of its scripts, and logs the loss of every example.

    python -m loss_logging.integrations.trainers.onetrainer scripts/train.py --config-path config.json \\
        --loss_logging_config losses.toml

The script and its folder stay as they are. One seam has the losses of all its models.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.launcher import launch
from loss_logging.support.warn import LOGGER

__all__ = ["main"]

_USAGE = "python -m loss_logging.integrations.trainers.onetrainer SCRIPT.py [arguments] [--loss_logging_config FILE]"
_MIXIN = "ModelSetupDiffusionLossMixin"
_NEEDED = {
    f"modules.modelSetup.mixin.{_MIXIN}": (
        _MIXIN,
        ("_diffusion_losses", "_flow_matching_losses", f"_{_MIXIN}__masked_losses", f"_{_MIXIN}__unmasked_losses"),
    ),
    "modules.trainer.GenericTrainer": ("GenericTrainer", ("train",)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the script with its own arguments."""
    launch(_USAGE, "scripts/train.py", _wrap, arguments)


def _wrap(main: ModuleType, section: Mapping[str, Any]) -> None:
    """Wrap OneTrainer's classes, before a model is loaded; or say what was looked for in vain."""
    try:
        mixin, trainer = (_find(module, *needed) for module, needed in _NEEDED.items())
    except LossLoggingError as error:
        LOGGER.error("%s: %s. No losses are logged; training goes on.", main.__file__, error)
        return
    if not hasattr(trainer.train, "__wrapped__"):
        _wrap_train(trainer, mixin, section)


def _find(module: str, name: str, methods: Sequence[str]) -> Any:
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise LossLoggingError(f"this is no script of OneTrainer: {error}") from error
    missing = [f"{name}.{method}" for method in methods if not hasattr(kind, method)]
    if missing:
        raise LossLoggingError(
            f"this version of OneTrainer is not known: {module} has no {', '.join(missing)}. Use one that "
            "docs/onetrainer.md names, or a newer loss_logging"
        )
    return kind


def _wrap_train(kind: Any, mixin: Any, section: Mapping[str, Any]) -> None:
    # Not at the top: they import torch, which OneTrainer prepares for.
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from loss_logging.integrations.trainers.onetrainer_run import Run, is_alone

    train = kind.train
    runs: list[Run] = []
    _wrap_losses(mixin, lambda: runs[-1] if runs else None)

    @functools.wraps(train)
    def logged(self: Any) -> Any:
        if not is_alone():
            LOGGER.error("OneTrainer on several GPUs starts processes without us. No losses are logged.")
            return train(self)
        run, steps = Run(section, self), 0

        def step_ended(*_: Any) -> None:
            nonlocal steps
            steps += 1
            run.watch.step_ended(steps)

        runs.append(run)
        hook = register_optimizer_step_post_hook(step_ended)
        try:
            return train(self)
        finally:
            hook.remove()
            runs.remove(run)
            run.close()

    kind.train = logged


def _wrap_losses(mixin: Any, current: Callable[[], Any]) -> None:
    """Look at the losses of the examples before their weights, and after them: the mean of these is the scalar."""
    plain: list[Any] = []

    def keep(losses_of: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(losses_of)
        def kept(*args: Any, **kwargs: Any) -> Any:
            losses = losses_of(*args, **kwargs)
            plain[:] = [losses]
            return losses

        return kept

    def look(losses_of: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(losses_of)
        def looked(self: Any, batch: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            run = current()

            def plain_of(other: Any) -> Any:
                losses_of(self, batch, other, *args, **kwargs)
                return plain[0]

            plain.clear()
            if run is not None:
                run.other_losses(data, plain_of)
                plain.clear()
            losses = losses_of(self, batch, data, *args, **kwargs)
            if run is not None:
                run.found(batch, data, plain[0] if plain else None, losses)
            return losses

        return looked

    for name in _NEEDED[mixin.__module__][1]:
        setattr(mixin, name, (keep if name.startswith(f"_{_MIXIN}") else look)(getattr(mixin, name)))


if __name__ == "__main__":
    main()
