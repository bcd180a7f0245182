"""What ai-toolkit finds in its ``extensions`` folder: its own trainers, with the loss of every image logged."""

from __future__ import annotations

import importlib
from typing import Any

from loss_logging.errors import LossLoggingError

__all__ = ["AI_TOOLKIT_EXTENSIONS"]


class _Trainer:
    """One of ai-toolkit's trainers under a name of ours; ai-toolkit reads ``uid`` and ``name``."""

    uid: str
    name: str
    base: str

    @classmethod
    def get_process(cls) -> Any:
        """The class that a job's ``type`` stands for.

        ai-toolkit asks each extension at the start of every job, also of those that are not for us: where the trainer
        is not found, the error waits until somebody uses it.
        """
        module = f"extensions_built_in.sd_trainer.{cls.base}"
        try:
            base = getattr(importlib.import_module(module), cls.base)
        except (ImportError, AttributeError) as error:
            return _missing(cls.uid, f"{module}.{cls.base}", error)
        from loss_logging.integrations.trainers.ai_toolkit.mixin import LossLoggingMixin

        return type(f"LossLogging{cls.base}", (LossLoggingMixin, base), {})


class SDTrainer(_Trainer):
    """For jobs of the type ``sd_trainer``."""

    uid = "loss_logging_sd_trainer"
    name = "SD Trainer with loss logging"
    base = "SDTrainer"


class DiffusionTrainer(_Trainer):
    """For jobs of the type ``diffusion_trainer``, those of the UI."""

    uid = "loss_logging_diffusion_trainer"
    name = "Diffusion Trainer with loss logging"
    base = "DiffusionTrainer"


AI_TOOLKIT_EXTENSIONS = [SDTrainer, DiffusionTrainer]


def _missing(uid: str, looked_for: str, error: Exception) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise LossLoggingError(
            f"type: {uid} needs {looked_for}, which this ai-toolkit does not have ({error}); "
            f"give the job the type {uid.removeprefix('loss_logging_')}, or update ai-toolkit or loss_logging"
        ) from error

    return refuse
