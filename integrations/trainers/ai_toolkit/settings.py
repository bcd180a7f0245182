"""What an ai-toolkit job says about loss logging, and whether this ai-toolkit is one that we know."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.model_family import captions_of
from loss_logging.runs.config import TrainConfig
from loss_logging.support.warn import LOGGER

__all__ = ["config_of", "require_seams"]

_SECTION = "loss_logging"
_SEAMS = {
    "run": (),
    "hook_before_train_loop": (),
    "hook_train_loop": (),
    "calculate_loss": ("noise_pred", "timesteps", "batch"),
    "save": ("step",),
}


def config_of(trainer: Any) -> TrainConfig | None:
    """The configuration that the job gives: the section ``loss_logging`` of the process, or of ``config`` above it.

    What the section leaves out is ai-toolkit's own: the name and folder of the job, how often it saves and logs, and
    the trackers that it writes to.

    Returns:
        None when there is no such section (which is warned about), or it is false.

    Raises:
        ConfigError: the section is impossible; says where.
    """
    # Without ai-toolkit's own section "logging", which looks like a typo.
    places = [{key: value for key, value in place.items() if key != "logging"} for place in _places(trainer)]
    for place in places:
        config = TrainConfig.from_section(place, **_defaults(trainer))
        if config is not None:
            return config
    if not any(_SECTION in place for place in places):
        LOGGER.warning(
            "ai-toolkit: this job's type is for loss logging, and it has no section %s; add `%s: true` beside `type`. "
            "Training goes on without.",
            _SECTION,
            _SECTION,
        )
    return None


def require_seams(base: Any) -> None:
    """Check that ``base``, ai-toolkit's trainer, has what we look at.

    Raises:
        LossLoggingError: something is missing; names all that was looked for.
    """
    missing = [name for name, parameters in _SEAMS.items() if not has_seam(base, name, parameters)]
    if missing:
        looked_for = ", ".join(f"{name}({', '.join(_SEAMS[name])})" for name in missing)
        raise LossLoggingError(
            f"looked for {looked_for} in ai-toolkit's SDTrainer, which this version does not have; "
            "update loss_logging, or go back to an ai-toolkit that docs/ai_toolkit.md names"
        )


def has_seam(base: Any, name: str, parameters: tuple[str, ...]) -> bool:
    """Whether there is a method of that name with those parameters."""
    method = getattr(base, name, None)
    return callable(method) and set(parameters) <= set(inspect.signature(method).parameters)


def _places(trainer: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return trainer.config, trainer.job.config


def _defaults(trainer: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "job_name": trainer.job.name,
        "save_root": _save_root(trainer),
        "loggers": _loggers(trainer),
        "timestep_scale": 1000,
    }
    defaults["captions"] = captions_of("ai-toolkit", [getattr(trainer.model_config, "arch", "")])
    rhythm = {"save_every": trainer.save_config.save_every, "log_every": trainer.logging_config.log_every}
    return defaults | {key: steps for key, steps in rhythm.items() if steps}


def _save_root(trainer: Any) -> str:
    """The job's folder; or one beside it, where ai-toolkit would load our folder, delete it or upload it.

    ai-toolkit takes the newest ``{name}*`` in the job's folder for its last checkpoint, whatever it is, and deletes the
    oldest ``{name}_*``; a job named "loss" must not find ours. ``push_to_hub`` uploads all that is in the job's folder,
    which would be captions and pictures.
    """
    root = str(trainer.save_root)
    embedding = trainer.embed_config
    names = [trainer.job.name, trainer.name, *([] if embedding is None else [embedding.trigger])]
    is_checkpoint = any(fnmatchcase(_SECTION, f"{name}*") for name in names)
    return f"{root}_{_SECTION}" if is_checkpoint or trainer.save_config.push_to_hub else root


def _loggers(trainer: Any) -> list[Any]:
    """The trackers that the job writes to."""
    loggers: list[Any] = ["wandb"] if trainer.logging_config.use_wandb else []
    return loggers if trainer.writer is None else [*loggers, {"name": "tensorboard", "writer": trainer.writer}]
