"""Layout: maps each element of a tensor to an example of the batch, and follows the tensor's dimensions.

Each dimension is a row-major product of atoms ``(size, step)``: along an atom the example's number grows by ``step``,
or stays the same if ``step`` is 0. A batch of 4 images (4, 3, 8, 8) has the dimensions ((4, 1),), ((3, 0),), ((8, 0),),
((8, 0),); flattened it is ((4, 1), (192, 0)); two copies beside each other, (8, 3, 8, 8), begin with ((2, 0), (4, 1)).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch

__all__ = ["Dim", "Layout", "axis", "concatenated", "joined", "rows", "viewed"]

Atom: TypeAlias = tuple[int, int]
Dim: TypeAlias = tuple[Atom, ...]


@dataclass(frozen=True)
class Layout:
    """The example of every element: ``first`` plus the steps. ``folded``: the one Dim is that of the flat tensor.

    A layout need not hold every example: ``x[2]`` of a batch has no step and ``first`` 2.
    """

    dims: tuple[Dim, ...]
    first: int = 0
    folded: bool = False

    @functools.cached_property
    def flat(self) -> Dim:
        return _canonical(atom for dim in self.dims for atom in dim)

    @functools.cached_property
    def is_of_one(self) -> bool:
        """Whether it holds only one example."""
        return not any(step for dim in self.dims for _, step in dim)

    def carries(self, dim: int) -> bool:
        """Whether several examples are along this dimension, counted from the front or the back."""
        return self.folded or any(step for _, step in self.dims[dim])

    def is_all_of(self, batch_size: int) -> bool:
        """Whether it holds every example equally often."""
        expected = 1
        for size, step in sorted((atom for atom in self.flat if atom[1]), key=lambda atom: atom[1]):
            if step != expected:
                return False
            expected *= size
        return expected == batch_size and self.first == 0

    def reshaped(self, shape: Sequence[int]) -> Layout:
        """The layout after a row-major reshape; folded if a dimension ends inside an example."""
        rest = list(self.flat)
        dims: list[Dim] = []
        for size in shape:
            taken = []
            while size > 1:
                count, step = rest.pop(0)
                if size % count and count % size:
                    return Layout((self.flat,), self.first, folded=True)
                if count > size:
                    rest.insert(0, (count // size, step))
                    count, step = size, step * (count // size)
                taken.append((count, step))
                size //= count
            dims.append(_canonical(taken))
        return Layout(tuple(dims), self.first)

    def expanded(self, shape: Sequence[int]) -> Layout | None:
        """The layout after a broadcast to ``shape``; None if it does not fit."""
        if self.folded:
            return self if math.prod(shape) == math.prod(size for size, _ in self.flat) else None
        missing = len(shape) - len(self.dims)
        if missing < 0 or any(
            dim and math.prod(count for count, _ in dim) != size
            for dim, size in zip(self.dims, shape[missing:], strict=True)
        ):
            return None
        dims = tuple(dim or axis(size) for dim, size in zip(((),) * missing + self.dims, shape, strict=True))
        return Layout(dims, self.first)

    def resized(self, dims: Iterable[int], shape: Sequence[int]) -> Layout:
        """The layout with the sizes of ``shape`` along ``dims``, which carry no examples."""
        changed = {dim % len(self.dims) for dim in dims}
        return Layout(tuple(axis(shape[i]) if i in changed else dim for i, dim in enumerate(self.dims)), self.first)

    def without(self, dims: Iterable[int]) -> Layout:
        gone = {dim % len(self.dims) for dim in dims}
        return Layout(tuple(dim for i, dim in enumerate(self.dims) if i not in gone), self.first)

    def worked_along(self, dims: Sequence[int], shape: Sequence[int]) -> Layout | None:
        """The layout of a result of ``shape``; ``dims``, which carry no examples, are gone or have another size."""
        if len(shape) == len(self.dims):
            return self.resized(dims, shape)
        return self.without(dims) if len(shape) == len(self.dims) - len(dims) else None

    def row_sums(self, values: torch.Tensor, batch_size: int) -> torch.Tensor:
        """(B,) sums of each example's elements, in float32 or better; needs a layout with all of the batch."""
        import torch

        accumulate = torch.float64 if values.dtype == torch.float64 else torch.float32
        atoms = self.flat
        apart = values.reshape([size for size, _ in atoms])
        within = [i for i, (_, step) in enumerate(atoms) if not step]
        sums = apart.sum(within, dtype=accumulate) if within else apart.to(accumulate)
        if sums.dim() == 1:
            return sums
        steps = [step for _, step in atoms if step]
        order = sorted(range(len(steps)), key=lambda i: -steps[i])
        return sums.permute(order).reshape(batch_size)


def axis(size: int) -> Dim:
    """A dimension within the example."""
    return ((size, 0),) if size != 1 else ()


@functools.lru_cache(4096)
def rows(shape: Sequence[int], blocks: int = 1) -> Layout:
    """The layout of a tensor with one row per example, or with ``blocks`` consecutive blocks of all examples."""
    size = shape[0] // blocks
    first = (((blocks, 0),) if blocks > 1 else ()) + (((size, 1),) if size > 1 else ())
    return Layout((first, *(axis(size) for size in shape[1:])))


def joined(
    operands: Iterable[tuple[Sequence[Hashable], Layout]], sizes: Mapping[Hashable, int]
) -> tuple[dict[Hashable, Dim], int] | None:
    """The dimensions, by label, of a result from operands whose dimensions with one label are aligned.

    None if some element comes from different examples.
    """
    found: tuple[dict[Hashable, Dim], int] | None = None
    for labels, layout in operands:
        given = dict(zip(labels, layout.dims, strict=True))
        if len(given) != len(labels):
            return None  # a diagonal
        all_dims = {label: given.get(label) or axis(size) for label, size in sizes.items()}
        if found is not None and found != (all_dims, layout.first):
            return None
        found = (all_dims, layout.first)
    return found


def concatenated(layouts: Sequence[Layout], dim: int, shape: Sequence[int]) -> Layout | None:
    """The layout of tensors joined along ``dim`` to ``shape``; None if the examples are not in sequence."""
    one = layouts[0]
    if any(layout.folded or layout.without([dim]).dims != one.without([dim]).dims for layout in layouts):
        return None
    parts = [layout.dims[dim] for layout in layouts]
    firsts = [layout.first for layout in layouts]
    if all(first == one.first for first in firsts) and not any(step for part in parts for _, step in part):
        return one.resized([dim], shape)
    together: Dim | None = parts[0] if len(parts) == 1 else None
    if len(parts) > 1 and all(part == parts[0] for part in parts):
        step = firsts[1] - firsts[0]
        if step > 0 and all(b - a == step for a, b in itertools.pairwise(firsts)):
            together = ((len(parts), step), *parts[0])
    elif len(parts) > 1 and all(len(part) <= 1 for part in parts):  # unequal pieces, as split() makes of 10 in fours
        step = next(part[0][1] for part in parts if part and part[0][1])
        lengths = [part[0][0] if part else 1 for part in parts]
        follows = all(
            a + length * step == b for a, length, b in zip(firsts, lengths, firsts[1:], strict=False)
        ) and all(part[0][1] == step for part in parts if part)
        together = ((sum(lengths), step),) if follows else None
    if together is None:
        return None
    return Layout((*one.dims[:dim], _canonical(together), *one.dims[dim + 1 :]), one.first)


def viewed(layout: Layout, shape: Sequence[int], view: Callable[[torch.Tensor], Any]) -> list[Layout | None]:
    """The layouts of a function's views, read from its effect on a tensor without memory.

    Strides and offset of a view, written in the digits of the source's own strides, name its dimensions.
    """
    import torch

    if layout.folded or 0 in shape:
        return [None]
    twin = torch.empty(tuple(shape), device="meta")
    views = view(twin)
    return [_read_off(layout, twin, out) for out in ([views] if isinstance(views, torch.Tensor) else views)]


def _read_off(layout: Layout, twin: torch.Tensor, out: torch.Tensor) -> Layout | None:
    if out.numel() == 0 or (out is not twin and out._base is not twin):
        return None
    starts = _digits(int(out.storage_offset()), twin)
    left = set(range(twin.dim()))
    dims: list[Dim] = []
    first = layout.first
    for size, stride in zip(out.shape, out.stride(), strict=True):
        steps = {i: step for i, step in enumerate(_digits(stride, twin)) if step}
        if size == 1 or not steps:
            dims.append(axis(size))
            continue
        if len(steps) > 1:  # a diagonal
            return None
        ((source, step),) = steps.items()
        start = starts[source] if source in left else 0
        left.discard(source)
        if start + step * (size - 1) >= twin.shape[source]:  # two dimensions have been merged
            return None
        piece = _slice(layout.dims[source], start, size, step)
        if piece is None:
            return None
        first += piece[1]
        dims.append(piece[0])
    for source in left:
        first += _example(layout.dims[source], starts[source])
    return Layout(tuple(dims), first)


def _digits(number: int, twin: torch.Tensor) -> list[int]:
    """``number`` in the mixed radix of a contiguous tensor's strides."""
    digits = []
    for size, stride in zip(twin.shape, twin.stride(), strict=True):
        digits.append(number // stride if size > 1 else 0)
        number -= digits[-1] * stride
    return digits


def _slice(dim: Dim, start: int, size: int, step: int) -> tuple[Dim, int] | None:
    """A slice of a dimension, and its first example; None if it is no product of atoms."""
    total = math.prod(count for count, _ in dim)
    if size == total:
        return dim, 0
    if not any(s for _, s in dim):
        return axis(size), 0
    (_, outer), inner = dim[0], dim[1:]
    if not inner:
        return ((size, outer * step),), start * outer
    length = math.prod(count for count, _ in inner)
    if step == 1 and start % length == 0 and size % length == 0:
        return _canonical([(size // length, outer), *inner]), start // length * outer
    if start // length == (start + step * (size - 1)) // length and (
        piece := _slice(inner, start % length, size, step)
    ):
        return piece[0], piece[1] + start // length * outer
    return None


def _example(dim: Dim, index: int) -> int:
    example = 0
    for count, step in reversed(dim):
        example += index % count * step
        index //= count
    return example


def _canonical(atoms: Iterable[Atom]) -> Dim:
    """The dimension without atoms of size 1, and with adjacent atoms merged where possible."""
    merged: list[Atom] = []
    for size, step in atoms:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * step:
            merged[-1] = (merged[-1][0] * size, step)
        else:
            merged.append((size, step))
    return tuple(merged)
