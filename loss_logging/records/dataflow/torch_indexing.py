"""Rules of indexing: by slices, by lists and tensors of indices, and by functions such as gather."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.records.dataflow.example_layout import Layout, axis, viewed
from loss_logging.records.dataflow.torch_call import Call, carried_over
from loss_logging.records.dataflow.torch_products import contraction

if TYPE_CHECKING:
    import torch

__all__ = ["getitem", "index_select", "lookup", "picked"]


def lookup(call: Call) -> list[Layout | None]:
    """embedding and one_hot: a new last dimension for each index."""
    layout, out = call.input_layout, call.outs[0]
    if layout is None or layout.folded or len(layout.dims) + 1 != out.dim():
        return []
    return [Layout((*layout.dims, axis(out.shape[-1])), layout.first)]


def picked(call: Call) -> list[Layout | None]:
    """gather, scatter and related functions: an index tensor selects elements along one dimension."""
    x, dim = call.input, call.argument(1, "dim")
    if not isinstance(dim, int):
        return []
    tensors = [value for value in call.operands if value.dim() == x.dim()]
    if len(tensors) != sum(value.dim() > 0 for value in call.operands):
        return []
    dim %= x.dim()
    labels: list[list[Hashable]] = [
        [f"along {i}" if axis_ == dim else axis_ for axis_ in range(x.dim())] for i in range(len(tensors))
    ]
    if any(value.shape[i] != x.shape[i] for value in tensors for i in range(x.dim()) if i != dim):
        return []
    rest = [label for label in labels[0] if label != "along 0"]
    found = contraction(call, list(zip(tensors, labels, strict=True)), rest)
    if not found or found[0] is None:
        return []
    dims = list(found[0].dims)
    dims.insert(dim, axis(call.outs[0].shape[dim]))
    return [Layout(tuple(dims), found[0].first)]


def index_select(call: Call) -> list[Layout | None]:
    x, dim, index = call.input, call.argument(1, "dim"), call.argument(2, "index")
    layout, of_index = call.layout_of(x), call.layout_of(index)
    if layout is None and of_index is not None and not of_index.folded:
        dims = [axis(size) for size in call.outs[0].shape]
        dims[dim] = of_index.dims[0]
        return [Layout(tuple(dims), of_index.first)]
    if layout is None or of_index is not None or layout.carries(dim):
        return []
    return [layout.resized([dim], call.outs[0].shape)]


def getitem(call: Call) -> list[Layout | None]:
    import torch

    x, key = call.args
    layout = call.layout_of(x)
    entries = list(key) if isinstance(key, tuple) else [key]
    if not any(
        isinstance(entry, (torch.Tensor, list, bool, range)) or hasattr(entry, "__array__") for entry in entries
    ):
        return [] if layout is None else viewed(layout, x.shape, lambda twin: twin[key])
    return _advanced(call, x, layout, entries)


def _advanced(call: Call, x: torch.Tensor, layout: Layout | None, entries: list[Any]) -> list[Layout | None]:
    """Indexing with integer tensors or lists, beside slices: the dimensions of the indices replace the indexed ones."""
    import torch

    dots = next((i for i, entry in enumerate(entries) if entry is Ellipsis), len(entries))
    entries[dots : dots + 1] = [slice(None)] * (x.dim() - len(entries) + (dots < len(entries)))
    indices = {i: entry for i, entry in enumerate(entries) if not isinstance(entry, slice)}
    places = list(indices)
    if len(entries) != x.dim() or any(entry is None or isinstance(entry, (bool, int)) for entry in indices.values()):
        return []
    tensors = {i: torch.as_tensor(entry) for i, entry in indices.items()}
    if any(index.dtype in (torch.bool, torch.uint8) for index in tensors.values()):
        return []
    shape = torch.broadcast_shapes(*(i.shape for i in tensors.values()))  # type: ignore[no-untyped-call]
    own = layout is not None and (layout.folded or any(layout.carries(i) for i in places))
    if own and not _is_each_row(layout, x.shape[0], tensors):
        return []
    given = [indices[i] for i in places if call.layout_of(indices[i]) is not None]
    of_index = carried_over(call, shape, given) if given else None
    if given and of_index is None:
        return []
    if own:
        of_index, layout = Layout((layout.dims[0],), layout.first) if layout else None, None
    sliced = None if layout is None else _cut(layout, x.shape, entries, places)
    if layout is not None and sliced is None:
        return []
    at = places[0] if places == list(range(places[0], places[-1] + 1)) else 0
    plain = Layout(tuple(axis(size) for size in call.outs[0].shape))
    results = [] if of_index is None else [(plain.dims[:at], of_index, plain.dims[at + len(shape) :])]
    found = [Layout((*front, *middle.dims, *back), middle.first) for front, middle, back in results]
    if sliced is not None:
        rest = [dim for i, dim in enumerate(sliced.dims) if i not in places]
        found.append(Layout((*rest[:at], *map(axis, shape), *rest[at:]), sliced.first))
    return [found[0] if found and all(one == found[0] for one in found) else None]


def _cut(layout: Layout, shape: Sequence[int], entries: Sequence[Any], places: Sequence[int]) -> Layout | None:
    """The layout after only the slices of a mixed index."""
    slices = tuple(slice(None) if i in places else entry for i, entry in enumerate(entries))
    return viewed(layout, shape, lambda twin: twin[slices])[0]


def _is_each_row(layout: Layout | None, batch: int, tensors: Mapping[int, torch.Tensor]) -> bool:
    """Whether the first index counts the rows, as in ``x[arange(B), labels]``; never waits for a device."""
    import torch

    if layout is None or layout.folded or any(layout.carries(i) for i in tensors if i) or 0 not in tensors:
        return False
    first, others = tensors[0], [index for i, index in tensors.items() if i]
    if first.device.type != "cpu" or any(index.dim() > 1 for index in others):
        return False
    return torch.equal(first, torch.arange(batch))
