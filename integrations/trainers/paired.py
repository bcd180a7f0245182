"""The losses of a step's batch with another caption, before the step's own forward; training does not notice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.errors import LossLoggingError
from loss_logging.records.no_trace import is_sharded
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["OnlyEmptyError", "PairedForwards", "modules_among", "require_same", "with_arguments"]


class OnlyEmptyError(LossLoggingError):
    """The trainer cannot encode these captions; it may be able to encode the empty one."""


class PairedForwards:
    """On the steps that want one; the first that fails is the last, and what is missing then is counted.

    Args:
        trainer: its name.
    """

    def __init__(self, trainer: str) -> None:
        self._trainer = trainer
        self._refused: str | None = None
        self._missing = 0

    def refuse(self, reason: str) -> None:
        """There are none from here on: ``reason``, as the end of a sentence."""
        if self._refused is None:
            self._refused = reason
            LOGGER.warning(
                "%s: no losses with the empty caption, and so no caption_mismatch: %s. The other figures are there; "
                "training goes on.",
                self._trainer,
                reason,
            )

    def compare(
        self,
        losses: LossLogger | None,
        step: int,
        names: Callable[[], Mapping[str, Any]],
        forward: Callable[[Sequence[str]], torch.Tensor],
        modules: Sequence[Any],
    ) -> dict[str, Any]:
        """What `log_batch` takes of a comparison; nothing on the other steps and where it is refused.

        Args:
            losses: says which steps want one; None, none does.
            step: about to be trained.
            names: gives the batch's ``paths`` and ``datasets``.
            forward: from B other captions to losses (B,); what it draws, the step's own forward draws again. It may
                raise `OnlyEmptyError` before it has begun.
            modules: are as before afterwards.
        """
        if losses is None:
            return {}
        try:
            if self._refused is None and losses.is_paired_step(step) and is_sharded(modules):
                self.refuse("the model's parameters are divided between the ranks, and one that fails would stop all")
            if self._refused is not None:
                self.count(losses, step)
                return {}
            with losses.paired_forward(step, *modules) as compared:
                return {} if compared is None else _compared(losses, compared == "rival", names(), forward)
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            self.refuse(str(error) if isinstance(error, LossLoggingError) else f"{type(error).__name__}: {error}")
            self._missing += 1
            return {}

    def count(self, losses: LossLogger, step: int) -> None:
        """A step after `refuse`."""
        self._missing += self._refused is not None and losses.is_paired_step(step)

    def note(self, losses: LossLogger) -> None:
        """Before a report is asked for: it says how many batches should have had one."""
        if self._missing:
            batches = "1 batch has" if self._missing == 1 else f"{self._missing} batches have"
            losses.add_warning(f"{self._trainer}: {batches} no losses with the empty caption: {self._refused}")
            self._missing = 0


def _compared(
    losses: LossLogger,
    with_rivals: bool,
    names: Mapping[str, Any],
    forward: Callable[[Sequence[str]], torch.Tensor],
) -> dict[str, Any]:
    rivals = losses.rivals_of(names["paths"], names["datasets"]) if with_rivals else []
    if any(rivals):
        try:
            return {"losses_rival": forward(rivals), "rivals": rivals}
        except OnlyEmptyError:
            pass  # the empty caption says something, too
    return {"losses_empty": forward([""] * len(names["paths"]))}


def modules_among(values: Iterable[Any]) -> list[torch.nn.Module]:
    """The modules among a call's arguments, and in lists of them."""
    import torch

    flat = (one for value in values for one in (value if isinstance(value, (list, tuple)) else [value]))
    return [one for one in flat if isinstance(one, torch.nn.Module)]


def require_same(name: str, other: torch.Tensor, own: torch.Tensor) -> None:
    """Both forwards have drawn the same.

    Raises:
        LossLoggingError: they have not, so that their losses cannot be compared.
    """
    if other.shape != own.shape or not bool((other == own).all()):
        raise LossLoggingError(f"the trainer gives the two forwards of a step different {name}")


def with_arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], **values: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same call with other values, each in its place: a subclass may take ``*args`` and ``**kwargs``."""
    places = [*signature.parameters]
    positional, named = [*args], dict(kwargs)
    for name, value in values.items():
        if places.index(name) < len(args):
            positional[places.index(name)] = value
        else:
            named[name] = value
    return tuple(positional), named
