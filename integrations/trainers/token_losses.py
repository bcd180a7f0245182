"""The per-example losses of a model with logits and labels, and a check that they are those of its scalar loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from loss_logging.integrations.trainers.forwards import Forward

if TYPE_CHECKING:
    import torch

    from loss_logging.integrations.trainers.example_names import Span

__all__ = ["Losses", "ModelLosses", "Scalar"]

_CHECKED = 3


class Losses(NamedTuple):
    """``losses``: (B,) float32. ``tokens``: (B,) how many targets each is the mean of; None where it is one."""

    losses: torch.Tensor
    tokens: torch.Tensor | None


class Scalar(NamedTuple):
    """What a trainer makes of a batch.

    Attributes:
        loss: the scalar.
        items: the number of targets that a sum was divided by, where it is not this batch's own.
        terms: what may have been added that no example has, such as a term that balances experts.
    """

    loss: torch.Tensor
    items: Any = None
    terms: Sequence[torch.Tensor] = ()


_Kind = Callable[[Any, Any, "Sequence[Span] | None"], Losses | None]


class ModelLosses:
    """Finds the kind of loss that a model uses, by comparing batches with its scalar, and keeps to it.

    After a few that agree in a row there are no more comparisons, which wait for the device. After batches that did not
    agree, one that does is not enough: before a model has learned anything another kind of loss, such as one with label
    smoothing, is near the scalar by chance. So many more in a row must agree.

    Attributes:
        reason: why the losses of the last batch are not known; "" where they are, or where it cannot tell.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._chosen: tuple[int, _Kind] | None = None
        self._checked = 0
        self._disagreed = 0

    def __call__(
        self, forwards: Sequence[Forward], labels: Any, scalar: Scalar, spans: Sequence[Span] | None = None
    ) -> Losses | None:
        """The losses of a batch; None where it cannot tell, or where there is a ``reason``. The next may be known.

        Args:
            forwards: of the model, with a graph; one or more.
            labels: of the batch, where the model was not given any.
            scalar: what was made of them.
            spans: where the examples lie, if not in a row each.
        """
        import torch

        self.reason = ""
        with torch.no_grad():
            if self._checked < _CHECKED:
                mean = scalar.loss.detach().float().mean()  # DataParallel gives one for each GPU
                if not math.isfinite(mean) or not mean:  # no example has a target, or the step overflowed
                    return None
                self._choose(forwards, labels, scalar, spans)
            trusted = self._chosen if self._checked > min(self._disagreed, _CHECKED - 1) else None
            found = None if trusted is None else _of(trusted, forwards, labels, spans)
        if found is None:
            self.reason = _why(forwards, labels)
        return found

    def _choose(self, forwards: Sequence[Forward], labels: Any, scalar: Scalar, spans: Sequence[Span] | None) -> None:
        import torch

        choices = [(i, kind) for i in range(len(forwards)) for kind in _KINDS]
        choices = choices if self._chosen is None else [self._chosen]
        # Before a model has learned anything its kinds of loss are almost equal: it is the nearest one.
        errors = {choice: _error(_of(choice, forwards, labels, spans), scalar) for choice in choices}
        nearest = min(errors, key=lambda choice: errors[choice], default=None)
        close = max(1e-4, 2 * torch.finfo(scalar.loss.dtype).eps)
        self._chosen = nearest if nearest is not None and errors[nearest] <= close else None
        self._checked = 0 if self._chosen is None else self._checked + 1
        self._disagreed += self._chosen is None


def _of(
    choice: tuple[int, _Kind], forwards: Sequence[Forward], labels: Any, spans: Sequence[Span] | None
) -> Losses | None:
    number, kind = choice
    if number >= len(forwards):
        return None
    outputs, own = forwards[number]
    return kind(outputs, labels if own is None else own, spans)


def _why(forwards: Sequence[Forward], labels: Any) -> str:
    import torch

    if not forwards:
        return "compute_loss did not call the model that it was given"
    given = [labels, *(forward.labels for forward in forwards)]
    has_scores = any(
        _part(forward.outputs, name) is not None for forward in forwards for name in ("logits", "log_probs")
    )
    if not has_scores or not any(isinstance(one, torch.Tensor) for one in given):
        return "the model has no logits, or the batch no labels"
    return "the losses per example do not add up to the scalar, or their kind is unknown"


def _part(outputs: Any, name: str) -> torch.Tensor | None:
    import torch

    part = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
    return part.detach() if isinstance(part, torch.Tensor) else None


def _error(found: Losses | None, scalar: Scalar) -> float:
    """How far the scalar is, in relation to it, from the mean over the targets, or from their sum over the items.

    A Trainer that counts targets over all processes multiplies by their number.
    """
    import torch

    if found is None:
        return math.inf
    tokens = 1.0 if found.tokens is None else found.tokens
    total = float((found.losses * tokens).nansum())  # an example without targets has no mean
    own = float(found.losses.numel() if found.tokens is None else found.tokens.sum())
    items = scalar.items
    given = [] if items is None else [float(torch.as_tensor(items).flatten()[0])]  # DataParallel: one for each GPU
    loss, counts = float(scalar.loss.detach().float().mean()), [own, *given]
    means = [total / n * processes for n in counts if n for processes in (1, _world_size())]
    errors = [abs(mean + term - loss) / abs(loss) for mean in means for term in (0.0, *map(float, scalar.terms))]
    return min((error for error in errors if math.isfinite(error)), default=math.inf)


def _world_size() -> int:
    import torch

    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


# --- kinds of losses ----------------------------------------------------------------------------------------------


def next_token(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """Language models: the logits (B, T, V) at a position are about the label (B, T) at the next one."""
    return _cross_entropy(_part(outputs, "logits"), labels, spans, ahead=1)


def each_token(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """Masked and sequence-to-sequence language models, tokens with classes: logits (B, T, V), labels (B, T)."""
    return _cross_entropy(_part(outputs, "logits"), labels, spans, ahead=0)


def log_probabilities(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """TRL's models without logits: the log-probability (B, T - 1) of each next token, and which of them count."""
    found = _scored(outputs, labels)
    return None if found is None else _sums(-found[0], found[1], labels.shape[1], spans)


def dynamic_fine_tuning(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """The same, each token in proportion to its probability (TRL's loss_type "dft", https://arxiv.org/abs/2508.05629)."""
    found = _scored(outputs, labels)
    return None if found is None else _sums(-found[0] * found[0].exp(), found[1], labels.shape[1], spans)


def one_class(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """Classifiers: logits (B, C), labels (B,) or (B, 1)."""
    import torch.nn.functional as F  # noqa: N812

    logits = _rows(outputs, labels, spans)
    if logits is None or logits.ndim != 2 or labels.numel() != len(logits) or labels.is_floating_point():
        return None
    return Losses(F.cross_entropy(logits.float(), labels.flatten(), reduction="none"), None)


def several_classes(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """Classifiers with several labels: logits and labels (B, C)."""
    import torch.nn.functional as F  # noqa: N812

    logits = _rows(outputs, labels, spans)
    if logits is None or logits.shape != labels.shape or not labels.is_floating_point():
        return None
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
    return Losses(losses.flatten(1).mean(1), None)


def regression(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> Losses | None:
    """Mean squared error: logits and labels (B, ...) of as many numbers."""
    logits = _rows(outputs, labels, spans)
    if logits is None or logits.numel() != labels.numel() or not labels.is_floating_point():
        return None
    error = (logits.float().flatten(1) - labels.float().reshape(len(labels), -1)) ** 2
    return Losses(error.mean(1), None)


_KINDS: tuple[_Kind, ...] = (
    next_token,
    each_token,
    one_class,
    regression,
    several_classes,
    log_probabilities,
    dynamic_fine_tuning,
)


def _rows(outputs: Any, labels: Any, spans: Sequence[Span] | None) -> torch.Tensor | None:
    """The logits of a batch with a row for each example."""
    import torch

    return None if spans is not None or not isinstance(labels, torch.Tensor) else _part(outputs, "logits")


def _cross_entropy(logits: torch.Tensor | None, labels: Any, spans: Sequence[Span] | None, ahead: int) -> Losses | None:
    """One example after another: a float32 copy of all logits would be the largest tensor of the whole step."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    if logits is None or not isinstance(labels, torch.Tensor) or labels.is_floating_point():
        return None
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        return None
    labels = labels.to(logits.device)
    parts = [(row, max(start, ahead), stop) for row, start, stop in _places(labels, spans)]
    sums = [
        F.cross_entropy(
            logits[row, start - ahead : stop - ahead].float(),
            labels[row, start:stop],
            reduction="sum",
            ignore_index=-100,
        )
        for row, start, stop in parts
    ]
    tokens = torch.stack([(labels[row, start:stop] != -100).sum() for row, start, stop in parts])
    return Losses(torch.stack(sums) / tokens, tokens)  # NaN, and no loss of 0, where there is no target


def _places(rows: torch.Tensor, spans: Sequence[Span] | None) -> Sequence[tuple[int, int, int]]:
    return [(i, 0, rows.shape[1]) for i in range(len(rows))] if spans is None else spans


def _scored(outputs: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The log-probabilities (B, T'), and a mask of those that count."""
    import torch

    scores, mask = _part(outputs, "log_probs"), _part(outputs, "label_mask")
    if scores is None or mask is None or scores.ndim != 2 or mask.shape != scores.shape:
        return None
    if not isinstance(labels, torch.Tensor) or labels.ndim != 2 or len(labels) != len(scores):
        return None
    return scores.float(), mask


def _sums(losses: torch.Tensor, mask: torch.Tensor, width: int, spans: Sequence[Span] | None) -> Losses:
    """Means over the tokens of each example, where those that are ignored are 0.

    The last column is about the last of ``width`` labels; tokens of a prompt that is learned come before the first.
    """
    import torch

    if spans is None:
        tokens = mask.sum(1)
        return Losses(losses.sum(1) / tokens, tokens)
    before = losses.shape[1] - width
    parts = [(row, max(start + before, 0), stop + before) for row, start, stop in spans]
    tokens = torch.stack([mask[row, start:stop].sum() for row, start, stop in parts])
    return Losses(torch.stack([losses[row, start:stop].sum() for row, start, stop in parts]) / tokens, tokens)
