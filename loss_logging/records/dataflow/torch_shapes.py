"""Rules of the functions that reshape, view, reduce, join and repeat tensors, and of layers that take a batch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loss_logging.records.dataflow.example_layout import Dim, Layout, axis, concatenated, viewed
from loss_logging.records.dataflow.torch_call import Call, elementwise
from loss_logging.records.dataflow.torch_names import ALONG, PARAMETERS_FOLLOW

if TYPE_CHECKING:
    import torch

__all__ = [
    "along",
    "batch_first",
    "concatenation",
    "repeat",
    "repeat_interleave",
    "reshape",
    "spatial_dims",
    "view",
    "view_of",
]


def reshape(call: Call) -> list[Layout | None]:
    layout, out = call.input_layout, call.outs[0]
    if layout is None or out.numel() != call.input.numel():
        return [None]
    return [layout.reshaped(out.shape)]


def view(call: Call) -> list[Layout | None]:
    layout = call.input_layout
    if layout is None:
        return []
    return view_of(call, layout)


def view_of(call: Call, layout: Layout) -> list[Layout | None]:
    args = call.args[1:]
    kwargs = {name: value for name, value in call.kwargs.items() if name != "input"}
    return viewed(layout, call.input.shape, lambda twin: _on_twin(call, twin, args, kwargs))


def _on_twin(call: Call, twin: torch.Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    if call.name == "__get__":  # a property of the tensor
        return call.func(twin)
    return call.func(twin, *args, **kwargs)


def along(call: Call) -> list[Layout | None]:
    """Only the given dimensions are reduced, reordered or mixed."""
    layout = call.input_layout
    if layout is None or layout.folded:
        return []
    if call.name in ("max", "min") and len(call.args) == 2 and hasattr(call.args[1], "dim"):
        return elementwise(call)
    dims = _dims(call)
    if dims is None or any(layout.carries(dim) for dim in dims):
        return []
    if sum(call.layout_of(value) is not None for value in call.operands) > 1:
        return []
    return [layout.worked_along(dims, out.shape) for out in call.outs]


def _dims(call: Call) -> list[int] | None:
    """The dimensions that a function works along, counted from the front; None if unknown."""
    ndim = call.input.dim()
    name = call.name.removeprefix("linalg_").removeprefix("fft_").removeprefix("special_").rstrip("_")
    position, default = ALONG[name]
    given = call.argument(position, "dim", "dims", "axis", default=default)
    if name == "flip" and len(call.args) > 1 and isinstance(call.args[1], int):
        given = call.args[1:]
    if name == "layer_norm" or name == "rms_norm":
        given = range(ndim - len(given), ndim)
    if name == "pad":
        given = range(ndim - len(given) // 2, ndim)
    if isinstance(given, bool):  # std(False)
        given = default
    dims = range(ndim) if given in ("all", (), []) else [given] if isinstance(given, int) else given
    if dims is None or not all(isinstance(dim, int) for dim in dims):
        return None
    return sorted({dim % ndim for dim in dims}) if ndim else []


def batch_first(call: Call) -> list[Layout | None]:
    """(N, C, ...) -> (N, ...): each entry of the first dimension by itself, whatever happens in it."""
    x, layout = call.input, call.input_layout
    if layout is None or layout.folded or any(layout.carries(i) for i in range(1, x.dim())):
        return []
    spatial = spatial_dims(call.name)
    if spatial is not None and x.dim() != spatial + 2:  # a single image: its first dimension are channels
        return []
    if any(_is_of_others(call, layout, other) for other in call.operands if other is not x):
        return []
    return [
        Layout((layout.dims[0], *map(axis, out.shape[1:])), layout.first)
        if out.dim() and out.shape[0] == x.shape[0]
        else None
        for out in call.outs
    ]


def spatial_dims(name: str) -> int | None:
    """The number of spatial dimensions in a name, such as 2 for "conv2d"; None if it has none."""
    found = re.search(r"([123])d", name)
    return int(found[1]) if found else None


def _is_of_others(call: Call, layout: Layout, other: torch.Tensor) -> bool:
    """Whether an argument holds the examples in another way than the first one. Weights and buffers hold none."""
    if call.name in PARAMETERS_FOLLOW and other.grad_fn is None:
        return False
    of_other = call.layout_of(other)
    return of_other is not None and (
        of_other.folded or (of_other.dims[:1], of_other.first) != (layout.dims[:1], layout.first)
    )


def concatenation(call: Call) -> list[Layout | None]:
    tensors = call.args[0] if call.args else call.kwargs["tensors"]
    out = call.outs[0]
    dim = call.argument(1, "dim", "axis", default=0) % out.dim()
    layouts = [call.layout_of(x) for x in tensors]
    shapes = [list(x.shape) for x in tensors]
    if call.name == "stack":
        layouts = [None if layout is None else _inserted(layout, dim) for layout in layouts]
        shapes = [[*shape[:dim], 1, *shape[dim:]] for shape in shapes]
    known = [layout for layout in layouts if layout is not None]
    if any(layout.folded for layout in known):
        return []
    if len(known) < len(layouts):  # tensors without examples are of every example, along the others' dimensions
        if any(layout.carries(dim) for layout in known) or any(layout.first != known[0].first for layout in known):
            return []
        known = [
            known[0].resized([dim], shape) if layout is None else layout
            for layout, shape in zip(layouts, shapes, strict=True)
        ]
    return [concatenated(known, dim, out.shape)]


def _inserted(layout: Layout, dim: int) -> Layout:
    return layout if layout.folded else Layout((*layout.dims[:dim], (), *layout.dims[dim:]), layout.first)


def repeat(call: Call) -> list[Layout | None]:
    layout, out = call.input_layout, call.outs[0]
    if layout is None or layout.folded:
        return []
    dims: tuple[Dim, ...] = ((),) * (out.dim() - len(layout.dims)) + layout.dims
    if len(dims) != out.dim():
        return []
    counts = [total // math.prod(size for size, _ in dim) for total, dim in zip(out.shape, dims, strict=True)]
    return [Layout(tuple(_times(dim, count) for dim, count in zip(dims, counts, strict=True)), layout.first)]


def _times(dim: Dim, count: int) -> Dim:
    return Layout((((count, 0), *dim),)).flat


def repeat_interleave(call: Call) -> list[Layout | None]:
    layout, out, count = call.input_layout, call.outs[0], call.argument(1, "repeats")
    if layout is None or not isinstance(count, int):
        return []
    dim = call.argument(2, "dim")
    if dim is None:
        return [Layout(((*layout.flat, (count, 0)),), layout.first).reshaped(out.shape)]
    if layout.folded:
        return []
    dims = list(layout.dims)
    dims[dim] = Layout(((*dims[dim], (count, 0)),)).flat
    return [Layout(tuple(dims), layout.first)]
