"""The losses of torch.nn.functional, once more without their reduction: from a scalar to each example's share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loss_logging.example_layout import Layout
from loss_logging.torch_rules import Call, carried_over

if TYPE_CHECKING:
    import torch

__all__ = ["LOSSES", "Share", "shares", "unreduced_layout"]

_PIECE_ELEMENTS = 1 << 24  # the unreduced loss is computed again in pieces of this size: 64 MiB of float32

ELEMENT_LOSSES = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "kl_div", "poisson_nll_loss", "soft_margin_loss",
)  # fmt: skip
CLASS_LOSSES = ("cross_entropy", "nll_loss")
LOSSES = (*ELEMENT_LOSSES, *CLASS_LOSSES)

_UNEQUAL = (
    "the examples have different numbers of targets that are not ignored, so the mean over all targets is not "
    'the mean of the examples\' losses; use reduction="none" and average per example'
)


class Share:
    """(B,) ``rows`` whose mean is the scalar, where ``holds``, () bool on the device, or None for always, is true."""

    def __init__(self, rows: torch.Tensor, holds: torch.Tensor | None = None) -> None:
        self.rows = rows
        self.holds = holds
        self.unless = _UNEQUAL


def bound(call: Call) -> dict[str, Any]:
    """The call's arguments by name, those left out too."""
    arguments = _signature(call.func).bind(*call.args, **call.kwargs)
    arguments.apply_defaults()
    return dict(arguments.arguments)


def unreduced_layout(call: Call) -> Layout | None:
    """Of the loss with reduction="none"; None: examples meet each other."""
    import torch

    options = bound(call)
    values, target = options["input"], options["target"]
    if call.name in ELEMENT_LOSSES:
        more = [options.get(name) for name in ("weight", "pos_weight")]
        tensors = [values, target, *(x for x in more if x is not None)]
        return carried_over(call, torch.broadcast_shapes(*(x.shape for x in tensors)), tensors)
    if values.dim() < 2:
        return None
    of_values, of_target = call.layout_of(values), call.layout_of(target)
    if any(layout is not None and (layout.folded or layout.carries(1)) for layout in [of_values]):
        return None
    probabilities = values.shape == target.shape
    known = [None if of_values is None else of_values.without([1])]
    if of_target is not None:
        if probabilities and (of_target.folded or of_target.carries(1)):
            return None
        known.append(of_target.without([1]) if probabilities else of_target)
    found = [layout for layout in known if layout is not None]
    return found[0] if all(layout == found[0] for layout in found) else None


def shares(call: Call, layout: Layout, batch_size: int) -> Share | str:
    """Each example's share in a loss that was reduced to a scalar, or why it is not known."""
    options = bound(call)
    if options.pop("size_average", None) is not None or options.pop("reduce", None) is not None:
        return f"{call.name} was given size_average or reduce"
    reduction = options.pop("reduction", "mean")
    values, target = options.pop("input"), options.pop("target")
    if call.name in CLASS_LOSSES:
        if options.get("weight") is not None or reduction != "mean":
            return f"{call.name} was given class weights, or reduction={reduction!r}"
        return _of_classes(call, layout, batch_size, values.detach(), target.detach(), options)
    weight = options.pop("weight", None)
    total = (
        values.shape[0]
        if reduction == "batchmean"
        else 1
        if reduction == "sum"
        else max(values.numel(), target.numel())
    )
    sums = _example_sums(call.func, layout, batch_size, _broadcast(values, target, weight), options)
    if weight is not None and reduction == "mean" and call.name in ("mse_loss", "l1_loss"):
        return Share(sums * (batch_size / weight.detach().sum()))
    return Share(sums * (batch_size / total))


def _broadcast(values: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> dict[str, torch.Tensor]:
    import torch

    given = {"input": values, "target": target} | ({} if weight is None else {"weight": weight})
    together = torch.broadcast_tensors(*(x.detach() for x in given.values()))
    return dict(zip(given, together, strict=True))


def _of_classes(
    call: Call,
    layout: Layout,
    batch_size: int,
    values: torch.Tensor,
    target: torch.Tensor,
    options: dict[str, Any],
) -> Share:
    sums = _example_sums(call.func, layout, batch_size, {"input": values, "target": target}, options)
    if target.is_floating_point():  # class probabilities: nothing is ignored
        return Share(sums * (batch_size * values.shape[1] / values.numel()))
    counted = (target != options.get("ignore_index", -100)).float()
    counts = layout.row_sums(counted, batch_size)
    return Share(sums / counts, holds=(counts == counts[0]).all() & (counts[0] > 0))


def _example_sums(
    func: Callable[..., Any], layout: Layout, batch_size: int, tensors: dict[str, torch.Tensor], options: dict[str, Any]
) -> torch.Tensor:
    """(B,) sums of the unreduced loss, computed in pieces where the examples lie along the first dimension."""
    import torch

    values = tensors["input"]
    in_front = not layout.folded and not any(layout.carries(i) for i in range(1, len(layout.dims)))
    length = max(1, _PIECE_ELEMENTS * len(values) // max(1, values.numel())) if in_front else len(values)
    options = {
        name: value.expand(values.shape) if name == "pos_weight" and value is not None else value
        for name, value in options.items()
    }
    sums = []
    for start in range(0, len(values), length):
        piece = {name: _widened(x[start : start + length]) for name, x in tensors.items()}
        more = {
            name: x[start : start + length] if name == "pos_weight" and x is not None else x
            for name, x in options.items()
        }
        unreduced = func(**piece, **more, reduction="none")
        if not in_front:
            return layout.row_sums(unreduced, batch_size)
        sums.append(row_sums(unreduced))
    first = Layout(layout.dims[:1], layout.first)
    return first.row_sums(torch.cat(sums) if len(sums) > 1 else sums[0], batch_size)


def row_sums(values: torch.Tensor) -> torch.Tensor:
    """(N, ...) -> (N,), in float32 or better."""
    import torch

    accumulate = torch.float64 if values.dtype == torch.float64 else torch.float32
    return values.to(accumulate) if values.dim() == 1 else values.sum(tuple(range(1, values.dim())), dtype=accumulate)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision as float32, so that a per-example loss is not rounded twice."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor


@functools.cache
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func)
