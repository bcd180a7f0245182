"""The losses of torch.nn.functional without their reduction, which give each example's share of a scalar."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.records.dataflow.example_layout import Layout
from loss_logging.records.dataflow.torch_call import Call, carried_over

if TYPE_CHECKING:
    import torch

__all__ = ["LOSSES", "Share", "shares", "unreduced_layout"]

_PIECE_ELEMENTS = 1 << 24  # size of the pieces in which the unreduced loss is computed: 64 MiB of float32

ELEMENT_LOSSES = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "kl_div", "poisson_nll_loss", "soft_margin_loss",
)  # fmt: skip
_TENSORS = ("input", "target", "weight", "pos_weight")
CLASS_LOSSES = ("cross_entropy", "nll_loss")
LOSSES = (*ELEMENT_LOSSES, *CLASS_LOSSES)

_UNEQUAL = (
    "the examples have different numbers of targets that are not ignored, so the mean over all targets is not "
    'the mean of the examples\' losses; use reduction="none" and average per example'
)


class Share:
    """(B,) ``rows`` whose mean is the scalar if ``holds`` is true: a () bool on the device, or None for always."""

    def __init__(self, rows: torch.Tensor, holds: torch.Tensor | None = None) -> None:
        self.rows = rows
        self.holds = holds
        self.unless = _UNEQUAL


def bound(call: Call) -> dict[str, Any]:
    """The call's arguments by name, with defaults."""
    defaults = _defaults(call.func)
    return defaults | dict(zip(defaults, call.args, strict=False)) | dict(call.kwargs)


def unreduced_layout(call: Call, options: Mapping[str, Any]) -> Layout | None:
    """The layout of the loss with reduction="none"; None if it combines different examples."""
    values, target = options["input"], options["target"]
    if call.name in ELEMENT_LOSSES:
        more = [options.get(name) for name in ("weight", "pos_weight")]
        tensors = [values, target, *(x for x in more if x is not None)]
        return carried_over(call, common_shape(tensors), tensors)
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


def shares(call: Call, options: Mapping[str, Any], layout: Layout, batch_size: int) -> Share | str:
    """Each example's share in a loss that was reduced to a scalar, or the reason why it is unknown."""
    more = dict(options)
    if more.pop("size_average", None) is not None or more.pop("reduce", None) is not None:
        return f"{call.name} was given size_average or reduce"
    reduction = more.pop("reduction")
    if call.name in CLASS_LOSSES:
        if more.pop("weight", None) is not None or reduction != "mean":
            return f"{call.name} was given class weights, or reduction={reduction!r}"
        return _of_classes(call, layout, batch_size, more)
    tensors = {name: more.pop(name).detach() for name in _TENSORS if more.get(name) is not None}
    shape = common_shape(list(tensors.values()))
    sums = _example_sums(call.func, layout, batch_size, {name: x.expand(shape) for name, x in tensors.items()}, more)
    if reduction == "mean" and "weight" in tensors and call.name in ("mse_loss", "l1_loss"):
        return Share(sums * (batch_size / tensors["weight"].sum()))
    total = {"mean": shape.numel(), "batchmean": tensors["input"].shape[0], "sum": 1}[reduction]
    return Share(sums * (batch_size / total))


def common_shape(tensors: Sequence[torch.Tensor]) -> torch.Size:
    """The shape that tensors are broadcast to."""
    import torch

    shape = tensors[0].shape
    if all(x.shape == shape for x in tensors):
        return shape
    return torch.broadcast_shapes(*(x.shape for x in tensors))  # type: ignore[no-untyped-call, no-any-return]


def _of_classes(call: Call, layout: Layout, batch_size: int, more: dict[str, Any]) -> Share:
    values, target = more.pop("input").detach(), more.pop("target").detach()
    sums = _example_sums(call.func, layout, batch_size, {"input": values, "target": target}, more)
    if target.is_floating_point():  # class probabilities: nothing is ignored
        return Share(sums * (batch_size * values.shape[1] / values.numel()))
    counts = layout.row_sums((target != more["ignore_index"]).float(), batch_size)
    return Share(sums / counts, holds=(counts == counts[0]).all() & (counts[0] > 0))


def _example_sums(
    func: Callable[..., Any], layout: Layout, batch_size: int, tensors: dict[str, torch.Tensor], more: dict[str, Any]
) -> torch.Tensor:
    """(B,) sums of the unreduced loss; a large loss with the examples along its first dimension is done in pieces."""
    import torch

    values = tensors["input"]
    if values.numel() <= _PIECE_ELEMENTS or layout.folded or any(map(layout.carries, range(1, len(layout.dims)))):
        whole = {name: _widened(x) for name, x in tensors.items()}
        return layout.row_sums(func(**whole, **more, reduction="none"), batch_size)
    length = max(1, _PIECE_ELEMENTS * len(values) // values.numel())
    sums = []
    for start in range(0, len(values), length):
        piece = {name: _widened(x[start : start + length]) for name, x in tensors.items()}
        unreduced = func(**piece, **more, reduction="none")
        sums.append(unreduced.reshape(len(unreduced), -1).sum(1))
    return Layout(layout.dims[:1], layout.first).row_sums(torch.cat(sums), batch_size)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision as float32, so that a per-example loss is not rounded twice."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor


@functools.cache
def _defaults(func: Callable[..., Any]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(func).parameters.items()}
