"""OneTrainer: the log of a running GenericTrainer."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend
from loss_logging.integrations.trainers.folder_names import FolderNames
from loss_logging.integrations.trainers.model_family import captions_of
from loss_logging.integrations.trainers.seam_run import SeamRun
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.training.logger import LossLogger

__all__ = ["Run", "is_alone"]


def is_alone() -> bool:
    """Whether one process trains."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)


class Run(SeamRun):
    """One training.

    Args:
        section: the configuration with our section.
        trainer: the GenericTrainer, with its model loaded.
    """

    def __init__(self, section: Mapping[str, Any], trainer: Any) -> None:
        super().__init__(section, Watch("OneTrainer", "look for a newer version of loss_logging"))
        self._trainer = trainer
        self._concepts: FolderNames | None = None
        self._step = 0
        if (saver := getattr(trainer, "model_saver", None)) is not None:
            saver.save = self._then_save(saver.save)

    @property
    def step(self) -> int:
        """OneTrainer counts each batch as a step, also those that it accumulates."""
        return self._step

    def found(self, batch: Any, data: Any, plain: Any, weighted: Any) -> None:
        """Log a batch that is trained on; what is not as expected costs the batch, not the training.

        Args:
            batch: with its ``image_path`` and ``prompt``, which is ``prompt_1`` where there are several encoders.
            data: what the model gave, with its ``timestep``.
            plain: (B,) losses before the weights; None where they were not seen.
            weighted: (B,) losses, whose mean the trainer takes.
        """
        if self.off or not (torch.is_tensor(weighted) and weighted.requires_grad):  # it validates
            return
        self.begin(lambda: self._begin(batch))
        self.log(lambda losses: self._log(losses, batch, data, plain, weighted))

    def _log(self, losses: LossLogger, batch: Any, data: Any, plain: Any, weighted: torch.Tensor) -> None:
        if not (torch.is_tensor(plain) and plain.shape == weighted.shape and plain.ndim == 1):
            raise LossLoggingError("the losses before the weights were not seen")
        names, timesteps = self._names(batch), data.get("timestep")
        self._step = self._trainer.model.train_progress.global_step + 1
        losses.log_batch(
            self._step,
            plain.detach(),
            timesteps=timesteps if torch.is_tensor(timesteps) and timesteps.shape == plain.shape else None,
            components={"weighted": weighted.detach()},
            **names,
        )

    def _begin(self, batch: Any) -> LossLogger:
        self._names(batch)  # a batch that does not say what it is of begins nothing
        config = self._trainer.config
        writer = getattr(self._trainer, "tensorboard", None)
        loggers = [] if writer is None else [TensorBoardBackend(writer=writer)]
        name = Path(config.output_model_destination or "").stem or "train"
        losses = self.logger(loggers, name, config.workspace_dir, _captions(config))
        if (done := self._trainer.model.train_progress.global_step) > 0:
            losses.resume(done)
        return losses

    def _names(self, batch: Any) -> dict[str, Any]:
        prompts = next((batch[name] for name in ("prompt", "prompt_1") if name in batch), None)
        if "image_path" not in batch or prompts is None:
            raise LossLoggingError("the batch does not say which files it is of: it has no image_path, or no prompt")
        if self._concepts is None:
            self._concepts = FolderNames(_concepts(self._trainer.config))
        paths = [str(path) for path in batch["image_path"]]
        kinds = batch.get("concept_type", [""] * len(paths))
        return {
            "paths": paths,
            "datasets": [self._concepts.name_of(path) for path in paths],
            "captions": [str(prompt) for prompt in prompts],
            "is_reg": [str(kind).endswith("PRIOR_PREDICTION") for kind in kinds],
        }

    def _then_save(self, save: Callable[..., Any]) -> Callable[..., Any]:
        """A report for each backup and each saved model."""

        @functools.wraps(save)
        def saved(*args: Any, **kwargs: Any) -> Any:
            result = save(*args, **kwargs)
            self.save()
            return result

        return saved


def _captions(config: Any) -> dict[str, Any]:
    """The model, and the number of tokens that Flux is set to."""
    model = str(getattr(config, "model_type", ""))
    setting = "text_encoder_sequence_length" if model == "FLUX_2" else "text_encoder_2_sequence_length"
    return captions_of("onetrainer", [model], getattr(config, setting, None) if model.startswith("FLUX") else None)


def _concepts(config: Any) -> list[tuple[str, str]]:
    """As OneTrainer reads them: from its configuration, or from a file of their own."""
    concepts = config.concepts
    if concepts is None:
        concepts = json.loads(Path(config.concept_file_name).read_text(encoding="utf-8"))
    read = [dict(one) if isinstance(one, Mapping) else vars(one) for one in concepts]
    return [(str(one.get("name") or ""), str(one.get("path") or "")) for one in read]
