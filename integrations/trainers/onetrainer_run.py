"""OneTrainer: the log of a running GenericTrainer."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend
from loss_logging.integrations.trainers.folder_names import FolderNames
from loss_logging.integrations.trainers.model_family import captions_of
from loss_logging.integrations.trainers.onetrainer_captions import OtherCaptions, text_modules
from loss_logging.integrations.trainers.paired import require_same
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
        self._other: dict[str, Any] = {}  # what the model gave for another caption, until the step's own losses
        self._compared: dict[str, Any] = {}
        if (setup := getattr(trainer, "model_setup", None)) is not None:
            setup.predict = self._then_predict(setup.predict)
        if (saver := getattr(trainer, "model_saver", None)) is not None:
            saver.save = self._then_save(saver.save)

    @property
    def step(self) -> int:
        """OneTrainer counts each batch as a step, also those that it accumulates."""
        return self._step

    def other_losses(self, data: Mapping[str, Any], losses_of: Callable[[Any], Any]) -> None:
        """Before the losses of a batch: those with the other caption, which had a forward before the step's own.

        Args:
            data: what the model gave, with the target that is trained on.
            losses_of: gives (B,) losses before the weights.
        """
        other, self._other = self._other, {}
        if not other:
            return
        try:
            with torch.no_grad():
                losses = losses_of({**other, **{name: data[name] for name in data if name.endswith("target")}})
            self._compared = {name: losses if one is None else one for name, one in self._compared.items()}
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            self._compared = {}
            self.pairs.refuse(f"{type(error).__name__}: {error}")

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
        self._step = self._next
        compared, self._compared = self._compared, {}
        losses.log_batch(
            self._step,
            plain.detach(),
            timesteps=timesteps if torch.is_tensor(timesteps) and timesteps.shape == plain.shape else None,
            components={"weighted": weighted.detach()},
            **names,
            **compared,
        )

    @property
    def _next(self) -> int:
        return int(self._trainer.model.train_progress.global_step) + 1

    def _then_predict(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        """First with another caption, on the steps that want it: a step's noise is seeded by its number."""
        signature = inspect.signature(predict)
        captions = OtherCaptions(predict, self._trainer.model)

        @functools.wraps(predict)
        def predicted(*args: Any, **kwargs: Any) -> Any:
            if not torch.is_grad_enabled():  # it validates, or asks the model before training
                return predict(*args, **kwargs)
            self._other, self._compared = {}, {}
            batch = signature.bind(*args, **kwargs).arguments.get("batch", {})
            self.begin(lambda: self._begin(batch))
            forward = functools.partial(self._with_captions, captions, args, kwargs)
            modules = text_modules(self._trainer.model)
            self._compared = self.pairs.compare(self.losses, self._next, lambda: self._names(batch), forward, modules)
            data = predict(*args, **kwargs)
            if self._other:
                self._require_same(data)
            return data

        return predicted

    def _with_captions(self, captions: OtherCaptions, args: Any, kwargs: Any, other: Sequence[str]) -> Any:
        self._other = captions.predict(args, kwargs, other)
        return None  # its losses come after the step's own forward

    def _require_same(self, data: Mapping[str, Any]) -> None:
        try:
            require_same("noise or targets", self._other["target"], data["target"])
        except (LossLoggingError, LookupError) as error:
            self._other, self._compared = {}, {}
            self.pairs.refuse(str(error))

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
