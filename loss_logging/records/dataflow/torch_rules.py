"""What torch functions do to the examples of a batch: from the layouts of the arguments to the layouts of the results.

A function that is not listed here may do anything, so nothing is known of what it makes of a batch.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from loss_logging.records.dataflow.example_layout import Dim, Layout, axis, concatenated, joined, viewed
from loss_logging.records.dataflow.torch_names import (
    ALONG,
    BATCH_FIRST,
    ELEMENTWISE,
    PARAMETERS_FOLLOW,
    RESHAPES,
    VIEW_PROPERTIES,
    VIEWS,
)

if TYPE_CHECKING:
    import torch

__all__ = ["Call", "carried_on", "carried_over", "flat", "rules", "view_of"]

Rule: TypeAlias = "Callable[[Call], list[Layout | None]]"


@dataclass(frozen=True, eq=False)
class Call:
    """A torch call. ``layouts``: of those of its tensors that hold examples, by id."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outs: Sequence[torch.Tensor]
    layouts: Mapping[int, Layout]

    @functools.cached_property
    def name(self) -> str:
        return getattr(self.func, "__name__", str(self.func))

    @functools.cached_property
    def operands(self) -> list[torch.Tensor]:
        import torch

        return [value for value in flat(self.args, self.kwargs) if isinstance(value, torch.Tensor)]

    @property
    def input(self) -> torch.Tensor:
        tensor: torch.Tensor = self.args[0] if self.args else self.kwargs["input"]
        return tensor

    @property
    def input_layout(self) -> Layout | None:
        return self.layout_of(self.input)

    def layout_of(self, value: Any) -> Layout | None:
        return self.layouts.get(id(value))

    def argument(self, position: int, *names: str, default: Any = None) -> Any:
        given = next((self.kwargs[name] for name in names if self.kwargs.get(name) is not None), None)
        if given is None and len(self.args) > position:
            given = self.args[position]
        return default if given is None else given


def flat(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """The values of a call's arguments, those in lists and tuples too."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, (list, tuple)):
            yield from flat(value, {})
        else:
            yield value


def carried_on(call: Call) -> tuple[list[Layout | None], bool]:
    """The layouts of a call's results, None where they are not known, and whether the function is known at all.

    They depend on shapes and layouts alone, which are the same in every step of a training: known answers are kept.
    """
    rule = rules().get(call.func)
    if rule is None or call.kwargs.get("out") is not None:
        return [None] * len(call.outs), rule is not None
    key = _key(call)
    found = None if key is None else _answers.get(key)
    if found is None:
        found = rule(call)
        if len(found) != len(call.outs):
            found = [None] * len(call.outs)
        if key is not None:
            if len(_answers) >= _MAX_ANSWERS:
                _answers.clear()
            _answers[key] = found
    return found, True


_MAX_ANSWERS = 10_000
_answers: dict[Hashable, list[Layout | None]] = {}


def _key(call: Call) -> Hashable | None:
    """Whatever a rule looks at; None: at the values of an index, or at something else that cannot be told."""
    try:
        outs = tuple(out.shape for out in call.outs)
        key = call.func, _described(call, call.args), _described(call, tuple(call.kwargs.items())), outs
        hash(key)
    except TypeError:
        return None
    return key


def _described(call: Call, values: Sequence[Any]) -> Hashable:
    import torch

    found: list[Hashable] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append((call.layouts.get(id(value)), value.shape, value.grad_fn is None))
        elif isinstance(value, (list, tuple)):
            if call.func is torch.Tensor.__getitem__ and not isinstance(value, tuple):
                raise TypeError("a list of places is an index by values")
            found.append(_described(call, value))
        elif isinstance(value, slice):
            found.append((slice, value.start, value.stop, value.step))
        else:
            found.append((type(value), value))
    if call.func is torch.Tensor.__getitem__ and any(isinstance(x, torch.Tensor) for x in flat(call.args[1:], {})):
        raise TypeError("an index by values")
    return tuple(found)


def carried_over(call: Call, shape: Sequence[int], operands: Sequence[torch.Tensor]) -> Layout | None:
    """Of an elementwise result of operands that are broadcast to ``shape``; None: examples meet each other."""
    own = [call.layouts.get(id(x)) for x in operands]
    if own and own[0] is not None and all(x.shape == shape for x in operands) and all(one == own[0] for one in own):
        return own[0]
    layouts = [layout.expanded(shape) for x in operands if (layout := call.layout_of(x)) is not None]
    return layouts[0] if all(layout == layouts[0] for layout in layouts) else None


def elementwise(call: Call) -> list[Layout | None]:
    operands = [call.input] if call.name in ("to", "type_as") else list(call.operands)
    return [carried_over(call, out.shape, operands) for out in call.outs]


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


def _along(call: Call) -> list[Layout | None]:
    """The dimensions that are given are reduced, reordered or mixed, and no others."""
    x, layout = call.input, call.input_layout
    if layout is None or layout.folded:
        return []
    if call.name in ("max", "min") and len(call.args) == 2 and hasattr(call.args[1], "dim"):
        return elementwise(call)
    dims = _dims(call)
    if dims is None or any(layout.carries(dim) for dim in dims):
        return []
    if sum(call.layout_of(value) is not None for value in call.operands) > 1:
        return []
    return [_without_or_resized(layout, dims, x.dim(), out.shape) for out in call.outs]


def _without_or_resized(layout: Layout, dims: Sequence[int], ndim: int, shape: Sequence[int]) -> Layout | None:
    if len(shape) == ndim:
        return layout.resized(dims, shape)
    return layout.without(dims) if len(shape) == ndim - len(dims) else None


def _dims(call: Call) -> list[int] | None:
    """The dimensions that a function works along, counted from the front; None: that cannot be told."""
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
    """2 of "conv2d"; None where the name does not say."""
    found = re.search(r"([123])d", name)
    return int(found[1]) if found else None


def _is_of_others(call: Call, layout: Layout, other: torch.Tensor) -> bool:
    """Whether an argument holds the examples otherwise than the first does. Weights and buffers hold none."""
    if call.name in PARAMETERS_FOLLOW and other.grad_fn is None:
        return False
    of_other = call.layout_of(other)
    return of_other is not None and (
        of_other.folded or (of_other.dims[:1], of_other.first) != (layout.dims[:1], layout.first)
    )


def _contraction(
    call: Call, operands: Sequence[tuple[torch.Tensor, Sequence[Hashable]]], result: Sequence[Hashable]
) -> list[Layout | None]:
    """Products summed over the labels that are not in the result, as einsum does."""
    sizes: dict[Hashable, int] = {}
    for x, labels in operands:
        for label, size in zip(labels, x.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    known = [(labels, layout) for x, labels in operands if (layout := call.layout_of(x)) is not None]
    if any(layout.folded for _, layout in known) or (found := joined(known, sizes)) is None:
        return []
    dims, first = found
    if any(step for label in sizes if label not in result for _, step in dims[label]):
        return []
    return [Layout(tuple(dims[label] for label in result), first)]


def matmul(call: Call) -> list[Layout | None]:
    left, right = call.input, call.argument(1, "other", "mat2", "vec", "tensor2")
    rows, columns = (["row"] if left.dim() > 1 else []), (["column"] if right.dim() > 1 else [])
    batch = list(range(max(left.dim(), right.dim()) - 2, 0, -1))
    of_left: list[Hashable] = [*batch[len(batch) - max(0, left.dim() - 2) :], *rows, "inner"]
    of_right: list[Hashable] = [*batch[len(batch) - max(0, right.dim() - 2) :], "inner", *columns]
    return _contraction(call, [(left, of_left), (right, of_right)], [*batch, *rows, *columns])


def linear(call: Call) -> list[Layout | None]:
    x, weight, bias = call.input, call.argument(1, "weight"), call.argument(2, "bias")
    front: list[Hashable] = list(range(x.dim() - 1))
    out: list[Hashable] = ["out"] if weight.dim() == 2 else []
    operands: list[tuple[torch.Tensor, Sequence[Hashable]]] = [(x, [*front, "in"]), (weight, [*out, "in"])]
    if bias is not None:
        operands.append((bias, out[: bias.dim()]))
    return _contraction(call, operands, [*front, *out])


def _addmm(call: Call) -> list[Layout | None]:
    added, left, right = call.args[:3]
    batch: list[Hashable] = ["batch"] if left.dim() == 3 else []
    out = [*batch, "row", "column"]
    operands = [(left, [*batch, "row", "in"]), (right, [*batch, "in", "column"])]
    operands.append((added, out[len(out) - added.dim() :]))
    return _contraction(call, operands, out)


def _einsum(call: Call) -> list[Layout | None]:
    equation, *given = call.args
    operands = list(flat(given, {}))
    if not isinstance(equation, str) or not all(hasattr(x, "dim") for x in operands):
        return []
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow:
        return []
    terms = [_letters(term, x.dim()) for term, x in zip(inputs.split(","), operands, strict=True)]
    dots = max(sum(isinstance(letter, int) for letter in term) for term in terms)
    of_output = _letters(output, dots + len(output.replace("...", "")))
    return _contraction(call, list(zip(operands, terms, strict=True)), of_output)


def _letters(term: str, ndim: int) -> list[Hashable]:
    """The labels of an einsum term; the dimensions of "..." are numbered from the back."""
    before, dots, after = term.partition("...")
    rest = ndim - len(before) - len(after) if dots else 0
    return [*before, *range(rest, 0, -1), *after]


def attention(call: Call) -> list[Layout | None]:
    """softmax(query @ key.T + mask) @ value, over the last two dimensions."""
    query, key, value = (call.argument(i, name) for i, name in enumerate(("query", "key", "value")))
    mask = call.argument(3, "attn_mask")
    if not query.dim() == key.dim() == value.dim():
        return []
    batch: list[Hashable] = list(range(query.dim() - 2, 0, -1))
    operands: list[tuple[torch.Tensor, Sequence[Hashable]]] = [
        (query, [*batch, "query", "in"]),
        (key, [*batch, "key", "in"]),
        (value, [*batch, "key", "out"]),
    ]
    if mask is not None:
        labels = [*batch, "query", "key"]
        operands.append((mask, labels[len(labels) - mask.dim() :]))
    if call.kwargs.get("enable_gqa"):  # the heads differ: compare the first dimension alone
        return batch_first(call)
    return _contraction(call, operands, [*batch, "query", "out"])


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


def _repeat(call: Call) -> list[Layout | None]:
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


def _repeat_interleave(call: Call) -> list[Layout | None]:
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


def _lookup(call: Call) -> list[Layout | None]:
    """embedding and one_hot: a new last dimension for each index."""
    layout, out = call.input_layout, call.outs[0]
    if layout is None or layout.folded or len(layout.dims) + 1 != out.dim():
        return []
    return [Layout((*layout.dims, axis(out.shape[-1])), layout.first)]


def _picked(call: Call) -> list[Layout | None]:
    """gather, scatter and their relatives: elements of one dimension go by an index of the others' shape."""
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
    found = _contraction(call, list(zip(tensors, labels, strict=True)), rest)
    if not found or found[0] is None:
        return []
    dims = list(found[0].dims)
    dims.insert(dim, axis(call.outs[0].shape[dim]))
    return [Layout(tuple(dims), found[0].first)]


def _index_select(call: Call) -> list[Layout | None]:
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
    """Indexing with integer tensors or lists, beside slices: the indices' dimensions come in the place of theirs."""
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
    sliced = (
        None
        if layout is None
        else viewed(
            layout,
            x.shape,
            lambda twin: twin[tuple(slice(None) if i in places else entry for i, entry in enumerate(entries))],
        )[0]
    )
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


def _is_each_row(layout: Layout | None, batch: int, tensors: Mapping[int, torch.Tensor]) -> bool:
    """``x[arange(B), labels]``: the first index counts the rows up. Looked at where that waits for no device."""
    import torch

    if layout is None or layout.folded or any(layout.carries(i) for i in tensors if i) or 0 not in tensors:
        return False
    first, others = tensors[0], [index for i, index in tensors.items() if i]
    if first.device.type != "cpu" or any(index.dim() > 1 for index in others):
        return False
    return torch.equal(first, torch.arange(batch))


def _pairwise(call: Call) -> list[Layout | None]:
    """Distances and similarities: elementwise, then the dimension goes."""
    one, other = call.args[:2]
    if one.dim() != other.dim():
        return []
    shape = [max(sizes) for sizes in zip(one.shape, other.shape, strict=True)]
    layout = carried_over(call, shape, [one, other])
    default = 1 if call.name == "cosine_similarity" else -1
    dim = call.argument(2, "dim", default=default) if call.name == "cosine_similarity" else default
    if layout is None or layout.folded or layout.carries(dim):
        return []
    return [_without_or_resized(layout, [dim % len(shape)], len(shape), call.outs[0].shape)]


def _recurrent(call: Call) -> list[Layout | None]:
    """lstm, gru and rnn of (T, B, D) or (B, T, D): each sequence by itself; the last states are (layers, B, D)."""
    x, layout = call.input, call.input_layout
    if layout is None or layout.folded or x.dim() != 3 or layout.carries(2) or not isinstance(call.args[-1], bool):
        return []
    batch, time = (0, 1) if call.args[-1] else (1, 0)
    if layout.carries(time):
        return []
    states = [call.layout_of(state) for state in flat(call.args[1:2], {})]
    expected = (layout.dims[batch], layout.first)
    if any(s is not None and (s.folded or s.carries(0) or (s.dims[1], s.first) != expected) for s in states):
        return []
    first, *rest = call.outs
    of_output = layout.resized([2], first.shape)
    return [of_output, *(Layout((axis(s.shape[0]), layout.dims[batch], axis(s.shape[2])), layout.first) for s in rest)]


def _multi_head_attention(call: Call) -> list[Layout | None]:
    """(T, B, D): the batch is the second dimension."""
    layouts = [call.layout_of(x) for x in call.args[:3]]
    known = [layout for layout in layouts if layout is not None]
    if not known or any(x.folded or len(x.dims) != 3 or x.carries(0) or x.carries(2) for x in known):
        return []
    if any((x.dims[1], x.first) != (known[0].dims[1], known[0].first) for x in known):
        return []
    dim, first = known[0].dims[1], known[0].first
    results: list[Layout | None] = []
    for i, out in enumerate(call.outs):
        sizes = [axis(size) for size in out.shape]
        sizes[0 if i else 1] = dim  # the weights are (B, T, S)
        results.append(Layout(tuple(sizes), first))
    return results


@functools.cache
def rules() -> dict[Callable[..., Any], Rule]:
    """The rule of each function, under every name that a mode sees it by."""
    import torch
    from torch.nn import functional

    everywhere = (torch, torch.Tensor, torch.functional, functional)
    named = {
        elementwise: ELEMENTWISE, reshape: RESHAPES, view: VIEWS, _along: tuple(ALONG),
        batch_first: BATCH_FIRST,
        matmul: ("matmul", "bmm", "mm", "mv", "dot", "inner_product", "__matmul__"),
        linear: ("linear",), _addmm: ("addmm", "baddbmm"), _einsum: ("einsum",),
        attention: ("scaled_dot_product_attention",),
        concatenation: ("cat", "concat", "concatenate", "stack"), _repeat: ("repeat", "tile"),
        _repeat_interleave: ("repeat_interleave",), _lookup: ("embedding", "one_hot"),
        _picked: ("gather", "take_along_dim", "scatter", "scatter_add", "scatter_", "scatter_add_"),
        _index_select: ("index_select",), _pairwise: ("cosine_similarity", "pairwise_distance"),
        _recurrent: ("lstm", "gru", "rnn_tanh", "rnn_relu"),
        _multi_head_attention: ("multi_head_attention_forward",),
    }  # fmt: skip
    rules: dict[Callable[..., Any], Rule] = {}
    for rule, names in named.items():
        for name in names:
            for space in everywhere:
                if name == "unfold" and (rule is view) != (space is torch.Tensor):
                    continue
                for variant in (name, f"{name}_") if rule in (elementwise, _along) else (name,):
                    if callable(function := getattr(space, variant, None)):
                        rules[function] = rule
    for space in (torch.special, torch.linalg, torch.fft):
        for rule, names in named.items():
            if rule in (elementwise, _along, matmul):
                rules |= {function: rule for name in names if callable(function := getattr(space, name, None))}
    rules |= {getattr(torch.Tensor, name).__get__: view for name in VIEW_PROPERTIES}
    rules |= {torch.Tensor.data.__get__: elementwise, torch.Tensor.real.__get__: elementwise}  # type: ignore[attr-defined]
    rules[torch.Tensor.__getitem__] = getitem
    return rules
