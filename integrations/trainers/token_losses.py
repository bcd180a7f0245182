"""The per-example losses of a model with logits and labels, and a check that they are those of its scalar loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

__all__ = ["Losses", "ModelLosses"]

_CHECKED = 3


class Losses(NamedTuple):
    """``losses``: (B,) float32. ``tokens``: (B,) how many targets each is the mean of; None where it is one."""

    losses: torch.Tensor
    tokens: torch.Tensor | None


class ModelLosses:
    """Finds the kind of loss that a model uses, by comparing the first batches with its scalar, and keeps to it.

    Only those first comparisons wait for the device.
    """

    def __init__(self) -> None:
        self._kind: Callable[[torch.Tensor, torch.Tensor], Losses | None] | None = None
        self._reason = ""
        self._checked = 0

    def __call__(
        self, outputs: Any, inputs: Mapping[str, Any], loss: torch.Tensor, items: Any = None
    ) -> Losses | str | None:
        """The losses of a batch, or why they are not known; None where this batch cannot tell.

        Args:
            outputs: of the model, with ``logits``.
            inputs: of the model, with ``labels``.
            loss: the scalar.
            items: the number of targets that a sum was divided by, where it is not this batch's own.
        """
        import torch

        if self._reason:
            return self._reason
        logits = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
        labels = inputs.get("labels")
        if not isinstance(logits, torch.Tensor) or not isinstance(labels, torch.Tensor):
            self._reason = "the model has no logits, or the batch no labels"
            return self._reason
        with torch.no_grad():
            if self._checked < _CHECKED:
                scalar = loss.detach().float().mean()  # DataParallel gives one for each GPU
                if not math.isfinite(scalar) or not scalar:  # no example has a target, or the step overflowed
                    return None
                self._choose(logits.detach(), labels, scalar, torch.finfo(loss.dtype).eps, items)
            found = None if self._kind is None else self._kind(logits.detach(), labels)
        if found is None:
            self._reason = "the losses per example do not add up to the scalar, or their kind is unknown"
            return self._reason
        return found

    def _choose(self, logits: torch.Tensor, labels: torch.Tensor, loss: torch.Tensor, eps: float, items: Any) -> None:
        self._checked += 1
        kinds = _KINDS if self._kind is None else (self._kind,)
        # Before a model has learned anything its kinds of loss are almost equal: it is the nearest one.
        errors = {kind: _error(kind(logits, labels), loss, items) for kind in kinds}
        nearest = min(errors, key=lambda kind: errors[kind])
        self._kind = nearest if errors[nearest] <= max(1e-4, 2 * eps) else None


def _error(found: Losses | None, loss: torch.Tensor, items: Any) -> float:
    """How far the scalar is, in relation to it, from the mean over the targets, or from their sum over ``items``.

    A Trainer that counts targets over all processes multiplies by their number.
    """
    import torch

    if found is None:
        return math.inf
    tokens = 1.0 if found.tokens is None else found.tokens
    total = float((found.losses * tokens).nansum())  # an example without targets has no mean
    own = float(found.losses.numel() if found.tokens is None else found.tokens.sum())
    given = [] if items is None else [float(torch.as_tensor(items).flatten()[0])]  # DataParallel: one for each GPU
    scalar, counts = float(loss), [own, *given]
    means = [total / n * processes for n in counts if n for processes in (1, _world_size())]
    errors = [abs(mean - scalar) / abs(scalar) for mean in means if scalar]
    return min((error for error in errors if math.isfinite(error)), default=math.inf)


def _world_size() -> int:
    import torch

    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def next_token(logits: torch.Tensor, labels: torch.Tensor) -> Losses | None:
    """Language models: the logits (B, T, V) at a position are about the label (B, T) at the next one."""
    if logits.ndim != 3 or labels.shape != logits.shape[:2] or labels.is_floating_point():
        return None
    return _masked_mean(logits[:, :-1], labels[:, 1:])


def each_token(logits: torch.Tensor, labels: torch.Tensor) -> Losses | None:
    """Masked and sequence-to-sequence language models, tokens with classes: logits (B, T, V), labels (B, T)."""
    if logits.ndim != 3 or labels.shape != logits.shape[:2] or labels.is_floating_point():
        return None
    return _masked_mean(logits, labels)


def one_class(logits: torch.Tensor, labels: torch.Tensor) -> Losses | None:
    """Classifiers: logits (B, C), labels (B,) or (B, 1)."""
    import torch.nn.functional as F  # noqa: N812

    if logits.ndim != 2 or labels.numel() != len(logits) or labels.is_floating_point():
        return None
    return Losses(F.cross_entropy(logits.float(), labels.flatten(), reduction="none"), None)


def several_classes(logits: torch.Tensor, labels: torch.Tensor) -> Losses | None:
    """Classifiers with several labels: logits and labels (B, C)."""
    import torch.nn.functional as F  # noqa: N812

    if logits.shape != labels.shape or not labels.is_floating_point():
        return None
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
    return Losses(losses.flatten(1).mean(1), None)


def regression(logits: torch.Tensor, labels: torch.Tensor) -> Losses | None:
    """Mean squared error: logits and labels (B, ...) of as many numbers."""
    if logits.numel() != labels.numel() or not labels.is_floating_point():
        return None
    error = (logits.float().flatten(1) - labels.float().reshape(len(labels), -1)) ** 2
    return Losses(error.mean(1), None)


_KINDS = (next_token, each_token, one_class, regression, several_classes)


def _masked_mean(logits: torch.Tensor, labels: torch.Tensor) -> Losses:
    """One example after another: a float32 copy of all logits would be the largest tensor of the whole step."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    sums = [
        F.cross_entropy(row.float(), targets.to(row.device), reduction="sum", ignore_index=-100)
        for row, targets in zip(logits, labels, strict=True)
    ]
    tokens = (labels != -100).sum(1).to(logits.device)
    return Losses(torch.stack(sums) / tokens, tokens)  # NaN, and no loss of 0, where there is no target
