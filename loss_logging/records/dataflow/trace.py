"""What is known of the tensors of a block: which hold the examples how, and which scalars are means over them.

A tensor that comes from outside holds one example per row where its first dimension is the batch, and none where it is
not. From there each torch call is followed by the rules of torch_rules. What they do not know is opaque, and so is all
that is computed from it.
"""

from __future__ import annotations

import functools
import itertools
import operator
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from loss_logging.records.dataflow.example_layout import Layout, axis, rows
from loss_logging.records.dataflow.loss_functions import LOSSES, bound, shares, unreduced_layout
from loss_logging.records.dataflow.torch_names import FRESH, READS, RESHAPES, VIEWS
from loss_logging.records.dataflow.torch_rules import Call, carried_on, flat, reshape, rules, view_of

if TYPE_CHECKING:
    import torch

__all__ = ["Mean", "Opaque", "Trace", "kinds"]

_SCALES = ("mul", "multiply", "div", "divide", "true_divide", "add", "sub", "neg", "__rmul__")
_COPIES = (
    "to", "float", "double", "half", "bfloat16", "cpu", "cuda", "detach", "clone", "contiguous", "requires_grad",
    "type", "type_as", "__get__", "__getitem__", "alias", "mean", "sum", "stack", "cat", "nanmean", "nansum",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mean:
    """A scalar equal to ``factor * rows.mean()``; factor None: scaled by a tensor whose value is not known here."""

    rows: torch.Tensor  # (B,)
    factor: float | None = 1.0
    conditions: tuple[tuple[torch.Tensor, str], ...] = ()  # () bool on the device; where one is false: why it is not


@dataclass(frozen=True, eq=False)
class Opaque:
    """A tensor of which it is not known which example is where."""

    why: str


@dataclass(frozen=True, eq=False)
class Plain:
    """A tensor that holds no examples. ``why`` it is not the loss, where it is a scalar; None: it is none of it."""

    why: str | None = None


Fact: TypeAlias = Mean | Opaque | Plain | Layout
_PLAIN = Plain()


class Trace:
    """The facts about the tensors of one block. It keeps none of the user's tensors alive."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.facts: dict[int, _Entry] = {}  # by id; an entry dies with its tensor
        self.overwritten: dict[int, int] = {}  # address of a storage whose examples were moved -> when
        self.time = 0
        self.roots: list[Mean | Opaque] = []  # of scalars given to backward
        self.reads: list[Mean | Opaque] = []  # of scalars read as a Python number
        self.zero: torch.Tensor | None = None  # what the scalar was before something was added to it in place
        self.broken: str | None = None  # why nothing is known of this block
        self.kinds = kinds()

    def broke(self, error: Exception) -> None:
        """Nothing is known any more. The training goes on."""
        self.broken = f"what watches the block failed: {type(error).__name__}: {error}"

    def fact(self, tensor: torch.Tensor) -> Fact:
        entry = self.facts.get(id(tensor))
        if entry is not None and entry.of() is not tensor:
            entry = None
        if self.overwritten and self.overwritten.get(_address(tensor), -1) > (-1 if entry is None else entry.time):
            return Opaque("the examples of a tensor were overwritten through another name")
        if entry is None:
            return self._of_outside(tensor)
        if isinstance(entry.fact, Mean) and entry.version != _version(tensor):
            return Opaque("the scalar was changed in place through another name")
        return entry.fact

    def _of_outside(self, tensor: torch.Tensor) -> Fact:
        import torch

        if tensor.layout is not torch.strided or tensor.is_nested:
            return Opaque("a sparse or nested tensor")
        if tensor.dim() and tensor.shape[0] == self.batch_size and tensor.numel() and not _is_parameter(tensor):
            return rows(tensor.shape)
        return _PLAIN

    def facts_before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int, Fact]:
        """What is known of a call's arguments before it changes one of them."""
        import torch

        return {id(value): self.fact(value) for value in flat(args, kwargs) if isinstance(value, torch.Tensor)}

    def before_change(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int, Fact]:
        """What is known of the arguments of a call that changes the first of them."""
        import torch

        if args and isinstance(args[0], torch.Tensor) and args[0].numel() == 1 and len(args) == 2:
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
        """Note what ``result = func(*args, **kwargs)`` means; ``before``: the facts before a call in place."""
        import torch

        self.time += 1
        kind = self.kinds.get(func)
        if kind == "fresh" and sum(isinstance(x, torch.Tensor) for x in flat(args, kwargs)) == 1:
            return
        outs = [out for out in flat((result,), {}) if isinstance(out, torch.Tensor)]
        if any(_is_transformed(out) for out in outs):
            self._transformed(args, kwargs, outs)
            return
        known = self.facts_before(args, kwargs) if before is None else before
        if kind == "backward":
            self._differentiated(args[0] if args else kwargs.get("tensors", kwargs.get("outputs")))
        elif kind == "read" and args and args[0].numel() == 1:
            self.reads += [
                self._as_scalar(fact, args[0]) for fact in known.values() if isinstance(fact, (Mean, Opaque))
            ]
        if kind == "setdata":
            self._remember(args[0], Opaque("the data of a tensor was replaced"))
        elif kind == "setitem" or (known and any(out.numel() for out in outs)):  # of no tensor: it comes from outside
            call = Call(func, args, kwargs, outs, self._layouts(args, kwargs, known))
            if kind == "setitem":
                self._written(call, known)
            else:
                self._note_results(call, known)

    def _layouts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], known: dict[int, Fact]) -> dict[int, Layout]:
        """In a batch of one, a scalar of the example is of the example."""
        layouts = {key: fact for key, fact in known.items() if isinstance(fact, Layout)}
        if self.batch_size == 1:
            layouts |= {id(x): _of_one(x) for x in flat(args, kwargs) if isinstance(known.get(id(x)), Mean)}
        return layouts

    def _transformed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], outs: Sequence[torch.Tensor]) -> None:
        """Within torch.func: vmap keeps apart what lies along the dimension that it maps."""
        import torch

        tensors = [x for x in flat(args, kwargs) if isinstance(x, torch.Tensor)]
        if all(self._is_mapped(*_unwrapped(x)) for x in tensors):
            return
        for out in outs:
            self.overwritten[_address(_unwrapped(out)[0])] = self.time

    def _is_mapped(self, tensor: torch.Tensor, dim: int | None) -> bool:
        """Whether a tensor within vmap holds an example per entry of the mapped dimension, or none."""
        fact = self.fact(tensor)
        if not isinstance(fact, Layout):
            return isinstance(fact, Plain)
        others = [carried for i, carried in enumerate(fact.dims) if i != dim]
        return dim is not None and fact == rows(tensor.shape) and not any(step for d in others for _, step in d)

    def _note_results(self, call: Call, known: dict[int, Fact]) -> None:
        found = self._results(call, known)
        if any(out.dim() for out in call.outs):
            self._forget_ingredients(call)
        for out, fact in zip(call.outs, found, strict=True):
            if id(out) in known and isinstance(fact, (Layout, Opaque)) and fact != known[id(out)]:  # in place
                self.overwritten[_address(out)] = self.time
            self._remember(out, fact)

    def _results(self, call: Call, known: dict[int, Fact]) -> list[Fact]:
        """The facts about the results of a call."""
        given = list(known.values())
        if self.batch_size > 1 and any(isinstance(fact, Mean) for fact in given):
            means = [fact for fact in given if isinstance(fact, Mean)]
            passed_on = [self._passed_on(call, means[0], known, out) if len(means) == 1 else None for out in call.outs]
            spoilt = Opaque(f"{call.name} turned the mean into something that is no multiple of it")
            return [spoilt if fact is None else fact for fact in passed_on]
        opaque = next((fact for fact in given if isinstance(fact, Opaque)), None)
        if opaque is not None:
            return [opaque for _ in call.outs]
        if not call.layouts:
            return [self._plain(call, out) for out in call.outs]
        return self._of_examples(call)

    def _of_examples(self, call: Call) -> list[Fact]:
        layouts = call.layouts.values()
        first = next(iter(layouts)).first
        if all(layout.first == first and layout.is_of_one for layout in layouts):
            return [self._finished(Layout(tuple(map(axis, out.shape)), first), out) for out in call.outs]  # one example
        kind = self.kinds.get(call.func)
        if kind == "loss":
            return [self._loss(call)]
        if kind in ("mean", "sum") and call.outs[0].numel() == 1 and (mean := self._mean(call, kind)) is not None:
            return [mean]
        found, is_known = carried_on(call)
        return [Opaque(self._mixed(call, is_known)) if layout is None else layout for layout in found]

    def _mixed(self, call: Call, is_known: bool) -> str:
        if not is_known:
            return f"{call.name} is not known to keep the examples apart"
        return (
            f"{call.name} moved, mixed or reordered the examples: "
            f"the result is not known as rows of batch_size {self.batch_size}"
        )

    def _finished(self, layout: Layout, out: torch.Tensor) -> Fact:
        """In a batch of one, a scalar of the example is its loss."""
        if self.batch_size == 1 and out.numel() == 1 and out.is_floating_point():
            return Mean(out.detach().reshape(1).clone())
        return layout

    def _plain(self, call: Call, out: torch.Tensor) -> Plain | Layout:
        size = self.batch_size
        is_rows = rules().get(call.func) is reshape and out.dim() and out.shape[0] == size
        if is_rows and not _is_parameter(call.input) and size in itertools.accumulate(call.input.shape, operator.mul):
            return rows(out.shape)  # the batch came in two dimensions
        if out.numel() != 1 or not out.is_floating_point():
            return _PLAIN
        return Plain(f"the scalar was made by {call.name} of tensors whose first dimension is not batch_size {size}")

    def _mean(self, call: Call, kind: str) -> Fact | None:
        """``mean`` or ``sum`` of everything."""
        layout, values = call.input_layout, call.input.detach()
        if layout is None or not layout.is_all_of(self.batch_size):
            return None
        if not call.outs[0].is_floating_point():
            return Opaque(f"{call.name} of {values.dtype}, which is no loss")
        per_example = layout.row_sums(values, self.batch_size) * (self.batch_size / values.numel())
        return Mean(per_example, factor=1.0 if kind == "mean" else float(values.numel()))

    def _loss(self, call: Call) -> Fact:
        """A loss function of torch.nn.functional, reduced or not."""
        options = bound(call)
        layout = unreduced_layout(call, options)
        if layout is None:
            shapes = " and ".join(str(tuple(x.shape)) for x in call.operands)
            return Opaque(f"{call.name} broadcasts or mixes different examples: {shapes}")
        if call.outs[0].numel() > 1 or options["reduction"] == "none":
            return layout
        if not layout.is_all_of(self.batch_size):
            return Opaque(f"{call.name} reduced some of the examples, or some more often than others")
        share = shares(call, options, layout, self.batch_size)
        if isinstance(share, str):
            return Opaque(share)
        return Mean(share.rows, conditions=() if share.holds is None else ((share.holds, share.unless),))

    def _passed_on(self, call: Call, mean: Mean, known: dict[int, Fact], out: torch.Tensor) -> Mean | None:
        """What is known of a scalar made from ``mean``: a copy or multiple of it; None when it is something else."""
        import torch

        if (
            out.numel() != 1
            or not out.is_floating_point()
            or any(isinstance(f, (Opaque, Layout)) for f in known.values())
        ):
            return None
        name = call.name.rstrip("_") if not call.name.startswith("__") else call.name
        if name in _COPIES or name in RESHAPES or name in VIEWS:
            return mean if sum(isinstance(x, torch.Tensor) for x in flat(call.args, call.kwargs)) == 1 else None
        if name not in _SCALES or call.kwargs:
            return None
        if name == "neg":
            return _scaled(mean, -1.0)
        if len(call.args) != 2:
            return None
        on_left = known.get(id(call.args[0])) is mean
        other = call.args[1 if on_left else 0]
        if name in ("add", "sub"):  # sum([loss]) adds it to 0
            other = self.zero if call.name == "add_" and not on_left else other
            return _with_nothing_added(mean, other) if name == "add" or on_left else None
        if name in ("mul", "multiply", "__rmul__"):
            return _scaled(mean, other)
        return _scaled(mean, 1 / other if isinstance(other, (int, float)) and other else other) if on_left else None

    def _written(self, call: Call, known: dict[int, Fact]) -> None:
        """``x[key] = value``: it must be the same example's on both sides, or of none."""
        x, key, value = call.args
        fact, of_value = known[id(x)], known.get(id(value))
        if of_value is None or isinstance(of_value, Plain):
            if isinstance(fact, Layout) or not isinstance(fact, Mean):
                return
        elif isinstance(fact, Layout) and (layout := call.layout_of(value)) is not None:
            place = Call(type(x).__getitem__, (x, key), {}, (), call.layouts)
            (target,) = view_of(place, fact) or [None]
            if target is not None and layout.expanded(x[key].shape) == target:
                return
        why = (
            of_value.why
            if isinstance(of_value, Opaque)
            else "a scalar of the whole batch, or another example, was written into a tensor"
        )
        self.overwritten[_address(x)] = self.time
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

        facts[key] = _Entry(weakref.ref(tensor, forget), fact, _version(tensor), self.time)

    def _forget_ingredients(self, call: Call) -> None:
        """A scalar that goes into a larger tensor, as a learned gate, is no loss though the graph keeps it alive."""
        for x in call.operands:
            entry = self.facts.get(id(x))
            if entry is not None and x.numel() == 1:
                entry.is_ingredient = isinstance(entry.fact, (Plain, Layout))

    def _differentiated(self, tensors: Any) -> None:
        self.roots += [self.scalar(tensor) for tensor in flat((tensors,), {})]

    def scalar(self, tensor: torch.Tensor) -> Mean | Opaque:
        """What is known of a tensor that may be the loss."""
        return self._as_scalar(self.fact(tensor), tensor)

    def checked(self, loss: Any) -> Mean | Opaque:
        """What is known of what the user says is the loss."""
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
        return Opaque(f"it holds example {fact.first} alone" if tensor.numel() == 1 else "it is no scalar")

    def choose(self) -> Mean | Opaque:
        """The one scalar that the block was about, by what it left alive, or why that cannot be told."""
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
            candidates = [fact for fact in others if _same_rows(fact, self.roots[0])] or self.roots
        if not candidates:
            return Opaque(
                "no scalar made in the block requires a gradient and is alive at its end, and none was given to "
                "backward; name the loss with captured.check(loss)"
            )
        first = candidates[0]
        if isinstance(first, Opaque) and len(candidates) == 1:
            return first
        same = all(_same_rows(first, other) and _factor(first) == _factor(other) for other in candidates)
        if same and all(_same_rows(first, root) for root in self.roots):
            return first
        return Opaque("the block made several scalars that could be the loss; name it with captured.check(loss)")


@dataclass(eq=False)
class _Entry:
    of: weakref.ref[torch.Tensor]
    fact: Fact
    version: int
    time: int
    is_ingredient: bool = False


def _of_one(tensor: torch.Tensor) -> Layout:
    """Of a scalar in a batch of one."""
    return Layout(tuple(map(axis, tensor.shape)))


def _scaled(mean: Mean, factor: Any) -> Mean | None:
    """A multiple of a mean by a number, or by a tensor of one element (then the factor is unknown)."""
    import torch

    if isinstance(factor, torch.Tensor) and factor.numel() == 1:
        return replace(mean, factor=None)
    if not isinstance(factor, (int, float)):
        return None
    return replace(mean, factor=None if mean.factor is None else mean.factor * factor)


def _with_nothing_added(mean: Mean, other: Any) -> Mean | None:
    """A mean plus zero, the number or a tensor: a total that begins with torch.zeros(())."""
    import torch

    if isinstance(other, torch.Tensor) and other.numel() == 1:
        why = "add: a tensor that is not zero was added to the mean"
        return replace(mean, conditions=(*mean.conditions, ((other.detach() == 0).reshape(()), why)))
    return mean if isinstance(other, (int, float)) and other == 0 else None


def _same_rows(one: Mean | Opaque, other: Mean | Opaque) -> bool:
    return isinstance(one, Mean) and isinstance(other, Mean) and one.rows is other.rows


def _factor(fact: Mean | Opaque) -> float | None:
    return fact.factor if isinstance(fact, Mean) else None


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_parameter(tensor: torch.Tensor) -> bool:
    import torch

    return isinstance(tensor, torch.nn.Parameter)


def _is_transformed(tensor: torch.Tensor) -> bool:
    import torch

    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def _unwrapped(tensor: torch.Tensor) -> tuple[torch.Tensor, int | None]:
    """The tensor below torch.func's wrappers, and the dimension that vmap maps."""
    import torch

    functorch, dim = torch._C._functorch, None
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            dim = functorch.maybe_get_bdim(tensor) if dim is None else -1  # mapped twice: of no use here
        tensor = functorch.get_unwrapped(tensor)
    return tensor, dim


@functools.cache
def kinds() -> dict[Callable[..., Any], str]:
    """The functions that are treated by themselves, under every name that a mode sees them by."""
    import torch
    from torch.nn import functional

    names = {"mean": ("mean",), "sum": ("sum",), "read": READS, "fresh": FRESH, "loss": LOSSES}
    found: dict[Callable[..., Any], str] = {
        function: kind
        for kind, group in names.items()
        for name in group
        for space in ((functional,) if kind == "loss" else (torch, torch.Tensor))
        if (function := getattr(space, name, None)) is not None
    }
    return found | {
        torch.Tensor.__setitem__: "setitem",
        torch.Tensor.data.__set__: "setdata",  # type: ignore[attr-defined]
        torch.Tensor.backward: "backward",
        torch.autograd.backward: "backward",
        torch.autograd.grad: "backward",
    }
