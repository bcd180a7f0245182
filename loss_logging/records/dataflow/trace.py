"""Trace: the facts about the tensors of a block, their layouts of examples, and the scalars that are means over them.

A tensor from outside holds one example per row if its first dimension is the batch, else none. From there the rules
of torch_rules follow each torch call. A result that they do not know is opaque, and so is each tensor computed from it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loss_logging.records.dataflow.call_results import Results
from loss_logging.records.dataflow.example_layout import Layout, axis, rows
from loss_logging.records.dataflow.facts import PLAIN, Fact, Mean, Opaque, Plain, has_same_factor, has_same_rows
from loss_logging.records.dataflow.tensor_state import (
    Memory,
    has_unseen_scalar,
    is_parameter,
    is_transformed,
    unwrapped,
    version,
)
from loss_logging.records.dataflow.torch_call import Call, flat
from loss_logging.records.dataflow.torch_shapes import view_of

if TYPE_CHECKING:
    import torch

__all__ = ["Trace"]


class Trace:
    """The facts about the tensors of one block. It keeps none of the user's tensors alive."""

    def __init__(self, batch_size: int, blocks: int = 1) -> None:
        self.batch_size = batch_size
        self.blocks = blocks
        self.facts: dict[int, _Entry] = {}  # by id; an entry is removed with its tensor
        self.overwritten = Memory()  # whose examples were moved
        self.time = 0
        self.roots: list[Mean | Opaque] = []  # of scalars given to backward
        self.reads: list[Mean | Opaque] = []  # of scalars read as a Python number
        self.taken_out = False  # whether numbers of several examples were read
        self.zero: torch.Tensor | None = None  # the scalar before an addition in place
        self.broken: str | None = None  # the reason why nothing is known of this block
        self.results = Results(batch_size)

    def broke(self, error: Exception) -> None:
        """Note that nothing is known from here on. The training goes on."""
        self.broken = f"tracking the block failed: {type(error).__name__}: {error}"

    def fact(self, tensor: torch.Tensor) -> Fact:
        entry = self.facts.get(id(tensor))
        if entry is not None and entry.of() is not tensor:
            entry = None
        if self.overwritten and self.overwritten.time_of(tensor) > (-1 if entry is None else entry.time):
            return Opaque("a tensor was changed in place through another name")
        if entry is None:
            return self._of_outside(tensor)
        if isinstance(entry.fact, Mean) and entry.version != version(tensor):
            return Opaque("the scalar was changed in place through another name")
        return entry.fact

    def _of_outside(self, tensor: torch.Tensor) -> Fact:
        import torch

        if tensor.layout is not torch.strided or tensor.is_nested:
            return Opaque("a sparse or nested tensor")
        if tensor.dim() and tensor.numel() and not is_parameter(tensor):
            if tensor.shape[0] == self.batch_size:
                return rows(tensor.shape)
            if tensor.shape[0] == self.batch_size * self.blocks:
                return rows(tensor.shape, self.blocks)
        return PLAIN

    def facts_before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int, Fact]:
        """The facts about a call's arguments before it changes one of them."""
        import torch

        return {id(value): self.fact(value) for value in flat(args, kwargs) if isinstance(value, torch.Tensor)}

    def before_change(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[int, Fact]:
        """The facts about the arguments of a call that changes the first one."""
        import torch

        if func is torch.Tensor.add_ and args[0].numel() == 1:
            self.zero = args[0].detach().clone()
        return self.facts_before(args, kwargs)

    def observe(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        before: dict[int, Fact] | None = None,
    ) -> None:
        """Note the facts after ``result = func(*args, **kwargs)``; ``before``: the facts before a call in place."""
        import torch

        self.time += 1
        kind = self.results.kinds.get(func)
        if kind == "fresh" and sum(isinstance(x, torch.Tensor) for x in flat(args, kwargs)) == 1:
            return
        outs = [out for out in flat((result,), {}) if isinstance(out, torch.Tensor)]
        if any(is_transformed(out) for out in outs):
            self._transformed(args, kwargs, outs)
            return
        known = self.facts_before(args, kwargs) if before is None else before
        if kind == "backward":
            self._differentiated(args[0] if args else kwargs.get("tensors", kwargs.get("outputs")))
        elif kind == "read" and args:
            self._read(args[0], known[id(args[0])])
        if kind == "from outside" and self.taken_out:
            for out in outs:
                self._remember(out, Opaque("examples were read as numbers, and a tensor was made outside of torch"))
        elif kind == "setdata":
            self._remember(args[0], Opaque("the data of a tensor was replaced"))
        elif kind == "setitem" or (known and any(out.numel() for out in outs)):  # of no tensor: it comes from outside
            call = Call(func, args, kwargs, outs, self._layouts(args, kwargs, known))
            if kind == "setitem":
                self._written(call, known)
            else:
                self._note_results(call, known)

    def _read(self, tensor: torch.Tensor, fact: Fact) -> None:
        """Note that numbers are read from a tensor: a scalar, perhaps the loss, or examples."""
        if tensor.numel() > 1:
            self.taken_out |= not isinstance(fact, Plain)
        elif isinstance(fact, (Mean, Opaque)):
            self.reads.append(self._as_scalar(fact, tensor))

    def _layouts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], known: dict[int, Fact]) -> dict[int, Layout]:
        """The layouts of the arguments; in a batch of one, a scalar belongs to the example."""
        layouts = {key: fact for key, fact in known.items() if isinstance(fact, Layout)}
        if self.batch_size == 1:
            layouts |= {id(x): _of_one(x) for x in flat(args, kwargs) if isinstance(known.get(id(x)), Mean)}
        return layouts

    def _transformed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], outs: Sequence[torch.Tensor]) -> None:
        """Within torch.func: vmap keeps the entries of its mapped dimension apart."""
        import torch

        tensors = [x for x in flat(args, kwargs) if isinstance(x, torch.Tensor)]
        if all(self._is_mapped(*unwrapped(x)) for x in tensors):
            return
        for out in outs:
            self.overwritten.note(out, self.time)

    def _is_mapped(self, tensor: torch.Tensor, dim: int | None) -> bool:
        """Whether a tensor within vmap holds one example per entry of the mapped dimension, or no examples."""
        fact = self.fact(tensor)
        if not isinstance(fact, Layout):
            return isinstance(fact, Plain)
        others = [carried for i, carried in enumerate(fact.dims) if i != dim]
        return dim is not None and fact == rows(tensor.shape) and not any(step for d in others for _, step in d)

    def _note_results(self, call: Call, known: dict[int, Fact]) -> None:
        found = self.results.of(call, known, self.zero)
        if any(out.dim() for out in call.outs):
            self._forget_ingredients(call)
        for out, fact in zip(call.outs, found, strict=True):
            if id(out) in known and fact != known[id(out)] and not isinstance(fact, Plain):  # in place
                self.overwritten.note(out, self.time)
            self._remember(out, fact)

    def _written(self, call: Call, known: dict[int, Fact]) -> None:
        """``x[key] = value``: both sides must belong to the same example, or the value to none."""
        x, key, value = call.args
        fact, of_value = known[id(x)], known.get(id(value))
        if of_value is None or isinstance(of_value, Plain):
            if isinstance(fact, Layout) or not isinstance(fact, Mean):
                return
        elif isinstance(fact, Layout) and not _is_by_values(key) and (layout := call.layout_of(value)) is not None:
            place = Call(type(x).__getitem__, (x, key), {}, (), call.layouts)
            (target,) = view_of(place, fact) or [None]
            if target is not None and layout.expanded(x[key].shape) == target:
                return
        why = (
            of_value.why
            if isinstance(of_value, Opaque)
            else "a scalar of the whole batch, or another example, was written into a tensor"
        )
        self.overwritten.note(x, self.time)
        self._remember(x, Opaque(why))

    def _remember(self, tensor: torch.Tensor, fact: Fact) -> None:
        key, facts = id(tensor), self.facts
        if not self.overwritten and not isinstance(fact, Mean):
            outside = self._of_outside(tensor)
            is_scalar = isinstance(fact, (Plain, Opaque)) and fact.why is not None
            if fact == outside or (isinstance(fact, Plain) and isinstance(outside, Plain) and not is_scalar):
                facts.pop(key, None)
                return

        def forget(dead: weakref.ref[torch.Tensor]) -> None:
            if key in facts and facts[key].of is dead:
                del facts[key]

        facts[key] = _Entry(weakref.ref(tensor, forget), fact, version(tensor), self.time)

    def _forget_ingredients(self, call: Call) -> None:
        """A scalar that enters a larger tensor, such as a learned gate, is no loss, though the graph keeps it alive."""
        for x in call.operands:
            entry = self.facts.get(id(x))
            if entry is not None and x.numel() == 1:
                entry.is_ingredient = isinstance(entry.fact, (Plain, Layout))

    def _differentiated(self, tensors: Any) -> None:
        self.roots += [self.scalar(tensor) for tensor in flat((tensors,), {})]

    def scalar(self, tensor: torch.Tensor) -> Mean | Opaque:
        """The fact about a tensor that may be the loss."""
        return self._as_scalar(self.fact(tensor), tensor)

    def checked(self, loss: Any) -> Mean | Opaque:
        """The fact about the scalar that the user names as the loss."""
        import torch

        if self.broken is not None:
            return Opaque(self.broken)
        if not isinstance(loss, torch.Tensor) or id(loss) not in self.facts:
            return Opaque("the scalar given to check() was not made by a torch call that was seen in the block")
        return self.scalar(loss)

    def _as_scalar(self, fact: Fact, tensor: torch.Tensor) -> Mean | Opaque:
        if isinstance(fact, (Mean, Opaque)):
            return fact
        if isinstance(fact, Plain):
            return Opaque(fact.why or "the scalar was not made by a torch call in the block")
        if tensor.numel() == 1 and fact.is_all_of(self.batch_size):
            return Mean(tensor.detach().reshape(1).float().clone())
        return Opaque(f"it holds only example {fact.first}" if tensor.numel() == 1 else "it is no scalar")

    def choose(self) -> Mean | Opaque:
        """The scalar that is the loss of the block, from the tensors still alive, or the reason why it is unknown."""
        if self.broken is not None:
            return Opaque(self.broken)
        alive = [(entry, tensor) for entry in list(self.facts.values()) if (tensor := entry.of()) is not None]
        scalars = [
            (tensor.requires_grad, self.scalar(tensor))
            for entry, tensor in alive
            if tensor.numel() == 1
            and tensor.is_floating_point()
            and not entry.is_ingredient
            and not (tensor.is_leaf and tensor.requires_grad)
        ]
        candidates = [fact for requires_grad, fact in scalars if requires_grad]
        if not candidates and self.roots:
            others = [fact for _, fact in scalars] + self.reads
            candidates = [fact for fact in others if has_same_rows(fact, self.roots[0])] or self.roots
        if not candidates:
            return Opaque(
                "no scalar made in the block requires a gradient and is alive at its end, and none was given to "
                "backward; name the loss with captured.check(loss)"
            )
        first = candidates[0]
        if isinstance(first, Opaque) and len(candidates) == 1:
            return first
        if any(tensor.requires_grad and has_unseen_scalar(tensor) for _, tensor in alive if tensor.numel() == 1):
            return Opaque("a compiled model made a scalar that could be the loss; name it with captured.check(loss)")
        same = all(has_same_rows(first, other) and has_same_factor(first, other) for other in candidates)
        if same and all(has_same_rows(first, root) for root in self.roots):
            return first
        return Opaque("the block made several scalars that could be the loss; name it with captured.check(loss)")


@dataclass(eq=False)
class _Entry:
    of: weakref.ref[torch.Tensor]
    fact: Fact
    version: int
    time: int
    is_ingredient: bool = False


def _is_by_values(key: Any) -> bool:
    """Whether an index holds indices or a mask, not only slices."""
    return any(hasattr(entry, "__len__") for entry in (key if isinstance(key, tuple) else (key,)))


def _of_one(tensor: torch.Tensor) -> Layout:
    """The layout of a scalar in a batch of one."""
    return Layout(tuple(map(axis, tensor.shape)))
