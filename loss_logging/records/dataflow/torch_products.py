"""Rules of products of tensors: matrices, einsum, attention, recurrent layers, similarities."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from loss_logging.records.dataflow.example_layout import Layout, axis, joined
from loss_logging.records.dataflow.torch_call import Call, carried_over, flat
from loss_logging.records.dataflow.torch_shapes import batch_first

if TYPE_CHECKING:
    import torch

__all__ = [
    "addmm",
    "attention",
    "contraction",
    "einsum",
    "linear",
    "matmul",
    "multi_head_attention",
    "pairwise",
    "recurrent",
]


def contraction(
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
    return contraction(call, [(left, of_left), (right, of_right)], [*batch, *rows, *columns])


def linear(call: Call) -> list[Layout | None]:
    x, weight, bias = call.input, call.argument(1, "weight"), call.argument(2, "bias")
    front: list[Hashable] = list(range(x.dim() - 1))
    out: list[Hashable] = ["out"] if weight.dim() == 2 else []
    operands: list[tuple[torch.Tensor, Sequence[Hashable]]] = [(x, [*front, "in"]), (weight, [*out, "in"])]
    if bias is not None:
        operands.append((bias, out[: bias.dim()]))
    return contraction(call, operands, [*front, *out])


def addmm(call: Call) -> list[Layout | None]:
    added, left, right = call.args[:3]
    batch: list[Hashable] = ["batch"] if left.dim() == 3 else []
    out = [*batch, "row", "column"]
    operands = [(left, [*batch, "row", "in"]), (right, [*batch, "in", "column"])]
    operands.append((added, out[len(out) - added.dim() :]))
    return contraction(call, operands, out)


def einsum(call: Call) -> list[Layout | None]:
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
    return contraction(call, list(zip(operands, terms, strict=True)), of_output)


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
    return contraction(call, operands, [*batch, "query", "out"])


def pairwise(call: Call) -> list[Layout | None]:
    """Distances and similarities: elementwise, then a reduction of one dimension."""
    one, other = call.args[:2]
    if one.dim() != other.dim():
        return []
    shape = [max(sizes) for sizes in zip(one.shape, other.shape, strict=True)]
    layout = carried_over(call, shape, [one, other])
    default = 1 if call.name == "cosine_similarity" else -1
    dim = call.argument(2, "dim", default=default) if call.name == "cosine_similarity" else default
    if layout is None or layout.folded or layout.carries(dim):
        return []
    return [layout.worked_along([dim % len(shape)], call.outs[0].shape)]


def recurrent(call: Call) -> list[Layout | None]:
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


def multi_head_attention(call: Call) -> list[Layout | None]:
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
