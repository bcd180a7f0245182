"""kohya's sd-scripts and musubi-tuner: starts one of their LoRA scripts, and logs the loss of every example.

    accelerate launch -m loss_logging.integrations.trainers.kohya train_network.py ... --loss_logging_config losses.toml

The script and its folder stay as they are.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, NamedTuple

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.kohya_exclusions import musubi_without, sd_scripts_without
from loss_logging.integrations.trainers.kohya_items import name_musubi, name_sd_scripts
from loss_logging.integrations.trainers.launcher import launch
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.warn import LOGGER

__all__ = ["main"]

_USAGE = "python -m loss_logging.integrations.trainers.kohya SCRIPT.py [arguments] [--loss_logging_config FILE]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the script with its own arguments."""
    launch(_USAGE, "train_network.py", _wrap, arguments)


# --- what is wrapped ----------------------------------------------------------------------------------------------


class _Seams(NamedTuple):
    """Where a trainer is looked at: its class and its modules."""

    trainer: Any
    modules: Mapping[str, Any]


_SD_SCRIPTS = ("library.train_util", "library.custom_train_functions")
_MUSUBI = ("musubi_tuner.dataset.image_video_dataset",)
_TRAINERS = ("__main__", "train_network", "musubi_tuner.training.trainer_base", "musubi_tuner.hv_train_network")
_NEEDED = {
    _SD_SCRIPTS: (
        ("NetworkTrainer", ("train", "process_batch", "post_process_loss")),
        (
            "library.train_util",
            ("BaseDataset", "DreamBoothDataset", "DatasetGroup", "glob_images", "collator_class", "conditional_loss"),
        ),
        ("library.custom_train_functions", ("apply_masked_loss",)),
    ),
    _MUSUBI: (
        ("NetworkTrainer", ("train", "process_batch", "compute_loss")),
        ("musubi_tuner.dataset.image_video_dataset", ("ImageDataset", "VideoDataset", "DatasetGroup")),
    ),
}


def _wrap(main: ModuleType, section: Mapping[str, Any]) -> None:
    """Wrap what the script has defined and imported; or say what was looked for in vain."""
    try:
        seams = _find()
        if _SD_SCRIPTS[0] in seams.modules:
            _wrap_sd_scripts(seams, section)
        else:
            _wrap_musubi(seams, section)
    except LossLoggingError as error:
        LOGGER.error("%s: %s. No losses are logged, and nothing is left out; training goes on.", main.__file__, error)


def _find() -> _Seams:
    for family, needed in _NEEDED.items():
        modules: dict[str, Any] = {name: sys.modules[name] for name in family if name in sys.modules}
        if modules:
            trainers = (getattr(sys.modules.get(name), "NetworkTrainer", None) for name in _TRAINERS)
            modules["NetworkTrainer"] = trainer = next((found for found in trainers if found is not None), None)
            missing = [
                f"{name}.{part}" for name, parts in needed for part in parts if not hasattr(modules.get(name), part)
            ]
            if missing:
                raise LossLoggingError(
                    f"this version of the trainer is not known: it has no {', '.join(missing)}. Use one of its LoRA "
                    "scripts (*train_network.py), in a version that docs/kohya.md names, or a newer loss_logging"
                )
            return _Seams(trainer, modules)
    raise LossLoggingError(
        f"this is no LoRA script of sd-scripts or musubi-tuner: it imports neither {_SD_SCRIPTS[0]} nor {_MUSUBI[0]}"
    )


def _wrap_sd_scripts(seams: _Seams, section: Mapping[str, Any]) -> None:
    train_util, functions = (seams.modules[name] for name in _SD_SCRIPTS)
    name_sd_scripts(train_util)
    collators: list[Any] = []
    make = train_util.collator_class.__init__

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        collators.append(self)  # its current_step is the trainer's count

    train_util.collator_class.__init__ = init

    def see(trainer: Any, run: Any) -> None:
        from loss_logging.integrations.trainers.kohya_seams import see_sd_scripts

        see_sd_scripts(
            trainer, run, train_util, functions.apply_masked_loss, lambda: int(collators[-1].current_step.value)
        )

    _wrap_train(seams.trainer, section, see, functools.partial(sd_scripts_without, train_util))


def _wrap_musubi(seams: _Seams, section: Mapping[str, Any]) -> None:
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    module = seams.modules[_MUSUBI[0]]
    name_musubi(module)
    _wrap_train(seams.trainer, section, see_musubi, functools.partial(musubi_without, module))


def _wrap_train(
    kind: Any,
    section: Mapping[str, Any],
    see: Callable[[Any, Any], None],
    without: Callable[[Exclusions], AbstractContextManager[None]],
) -> None:
    # Not at the top: they import torch, which the script may want to prepare for.
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from loss_logging.integrations.trainers.kohya_run import Run, see_states

    train = kind.train
    runs: list[Run] = []

    @functools.wraps(train)
    def logged(self: Any, args: Any) -> Any:
        run, steps = Run(section, args, self), 0
        exclusions = run.exclude(*run.place)
        left_out = nullcontext() if exclusions is None else without(exclusions)

        def step_ended(*_: Any) -> None:
            nonlocal steps
            steps += 1
            run.watch.step_ended(steps)

        try:
            see(self, run)
        except LossLoggingError as error:
            LOGGER.error("%s. No losses are logged; training goes on.", error)
            with left_out:
                return train(self, args)
        runs.append(run)
        hook = register_optimizer_step_post_hook(step_ended)
        try:
            with left_out:
                return train(self, args)
        finally:
            hook.remove()
            run.close()

    see_states(lambda: runs[-1] if runs else None)
    kind.train = logged


if __name__ == "__main__":
    main()
