"""Which scalars are means over the batch: what capture_per_example_loss knows about the tensors of its block.

A Trace keeps one fact per tensor that matters: it is a mean over the batch with known per-example terms (Mean), it
cannot be split into examples (Opaque), or its elements are in the order of the examples although the first dimension
is not the batch (Flat). A fact follows the data: a mean stays one through casts, copies and multiplication by a number,
and makes opaque whatever else is computed from it.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch

__all__ = ["Mean", "Opaque", "Trace"]

_PIECE_ELEMENTS = 1 << 24  # the unreduced loss is computed again in pieces of this size: 64 MiB of float32

_LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "cross_entropy")
_SCALES = ("mul", "mul_", "multiply", "div", "div_", "divide", "true_divide", "add", "add_", "sub", "sub_", "neg")
_COPIES = (
    "to",
    "float",
    "double",
    "half",
    "bfloat16",
    "cpu",
    "cuda",
    "detach",
    "clone",
    "contiguous",
    "requires_grad_",
)
_RESHAPES = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze")
_VIEWS = ("transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "adjoint", "select", "unbind")
_VIEW_PROPERTIES = ("T", "mT", "H", "mH")
_ALONG = {  # calls that reduce or reorder the dimensions in the positional argument of this index
    "mean": 1, "sum": 1, "amax": 1, "amin": 1, "std": 1, "var": 1, "prod": 1, "logsumexp": 1, "nanmean": 1, "nansum": 1,
    "flip": 1, "sort": 1, "gather": 1, "index_select": 1, "roll": 2, "take_along_dim": 2,
}  # fmt: skip
_PRODUCTS = ("mul", "mul_", "multiply", "div", "div_", "divide", "true_divide")
_REDUCTIONS = ("mean", "sum", "loss")
_READS = ("item", "tolist", "__float__", "numpy")


@dataclass(frozen=True, eq=False)
class Mean:
    """A scalar equal to ``factor * rows.mean()``; factor None: scaled by a tensor whose value is not known here."""

    rows: torch.Tensor  # (B,)
    factor: float | None = 1.0
    adds_up: torch.Tensor | None = None  # () bool, on the device: whether the equality holds; None: it always does


@dataclass(frozen=True, eq=False)
class Opaque:
    """A tensor that is not a known mean. ``spreads``: what is computed from it is not one row per example either."""

    why: str
    spreads: bool


class Flat:
    """(N, ...) with N a multiple of B, each example's elements next to each other, in the order of the batch."""


Fact: TypeAlias = Mean | Opaque | Flat


@dataclass(frozen=True, eq=False)
class Call:
    """One torch call: the function's name, what kind it is, its arguments, and the facts known about them before it."""

    name: str
    kind: str | None
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    known: list[Fact]

    @property
    def input(self) -> torch.Tensor:
        tensor: torch.Tensor = self.args[0] if self.args else self.kwargs["input"]
        return tensor

    @property
    def tainted_by(self) -> list[Mean | Opaque]:
        """Facts about arguments which forbid to read the result as one row per example."""
        return [fact for fact in self.known if isinstance(fact, Mean) or (isinstance(fact, Opaque) and fact.spreads)]


class Trace:
    """The facts about the tensors of one block. It keeps none of the user's tensors alive."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.facts: dict[int, tuple[weakref.ref[torch.Tensor], int, Fact]] = {}  # by id; an entry dies with its tensor
        self.roots: list[Mean | Opaque] = []  # of scalars given to backward
        self.reads: list[Mean | Opaque] = []  # of scalars read as a Python number
        self.kinds = _kinds()

    def fact(self, tensor: torch.Tensor) -> Fact | None:
        entry = self.facts.get(id(tensor))
        if entry is None or entry[0]() is not tensor:
            return None
        if entry[1] != _version(tensor):
            return Opaque("the scalar was changed in place through another name", spreads=True)
        return entry[2]

    def scalar(self, tensor: torch.Tensor) -> Mean | Opaque | None:
        """What is known of a tensor that may be the loss."""
        fact = self.fact(tensor)
        return None if isinstance(fact, Flat) else fact

    def known(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Fact]:
        """The facts about the tensors among a call's arguments."""
        if not self.facts:
            return []
        return [
            fact for value in _flat(args, kwargs) if id(value) in self.facts and (fact := self.fact(value)) is not None
        ]

    def observe(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        known: list[Fact],
        result: Any,
    ) -> None:
        """Note what ``result = func(*args, **kwargs)`` means; ``known`` are the arguments' facts before the call."""
        import torch

        kind = self.kinds.get(func)
        outputs = (result,) if isinstance(result, torch.Tensor) else result if isinstance(result, (tuple, list)) else ()
        if kind is None and not known and not (outputs and outputs[0] is result and result.dim() == 0):
            return
        call = Call(getattr(func, "__name__", str(func)), kind, func, args, kwargs, known)
        if kind == "backward":
            self._differentiated(args[0] if args else kwargs.get("tensors", kwargs.get("outputs")))
        elif kind == "read" and args[0].numel() == 1:
            self.reads += [fact for fact in known if not isinstance(fact, Flat)]
        elif kind == "setitem" and call.tainted_by:
            self._remember(args[0], Opaque("a scalar of the whole batch was written into a tensor", spreads=True))
        for out in outputs:
            if isinstance(out, torch.Tensor) and (fact := self._infer(call, out)) is not None:
                self._remember(out, fact)
        if kind == "scale" and known and call.name in _PRODUCTS and outputs and result.dim() > 0:
            self._forget_ingredients(call)

    def _infer(self, call: Call, out: torch.Tensor) -> Fact | None:
        """The fact about ``out``, a result of the call."""
        tainted_by = call.tainted_by
        if len(tainted_by) == 1 and isinstance(tainted_by[0], Mean) and out.dim() == 0 and out.is_floating_point():
            passed_on = self._passed_on(call, tainted_by[0])
            if passed_on is not None:
                return passed_on
        if tainted_by:
            opaque = next((fact for fact in tainted_by if isinstance(fact, Opaque)), None)
            return opaque or Opaque(
                f"{call.name} turned the mean into something that is no multiple of it", spreads=True
            )
        if call.kind in _REDUCTIONS and out.dim() == 0:
            return self._reduced_loss(call) if call.kind == "loss" else self._reduced(call)
        if (
            call.kind in ("copy", "reshape")
            and self._is_example_major(call.input)
            and out.numel() == call.input.numel()
        ):
            return None if out.dim() == 0 or self._has_rows(out) else Flat()
        if call.kind in ("view", "along", "mean", "sum") and self._moves_examples(call, out):
            return Opaque(f"{call.name} moved, mixed or reordered the examples", spreads=True)
        if out.dim() == 0 and out.is_floating_point():
            return Opaque(
                f"the scalar was made by {call.name}, which is not a reduction that is recognised", spreads=False
            )
        return None

    def _passed_on(self, call: Call, mean: Mean) -> Mean | None:
        """What is known of a scalar made from ``mean``: a copy or multiple of it; None when it is something else."""
        import torch

        is_mean = [
            isinstance(arg, torch.Tensor) and self.facts.get(id(arg), (0, 0, None))[2] is mean for arg in call.args
        ]
        if call.kind in ("copy", "reshape", "mean", "sum"):
            return mean if is_mean[:1] == [True] else None
        if call.kind != "scale" or call.kwargs or not any(is_mean):
            return None
        name = call.name.rstrip("_")
        if name == "neg":
            return _scaled(mean, -1.0)
        if len(call.args) != 2:
            return None
        other = call.args[1 if is_mean[0] else 0]
        if name in ("add", "sub"):  # sum([loss]) adds it to 0
            return mean if isinstance(other, (int, float)) and other == 0 and (name == "add" or is_mean[0]) else None
        if name in ("mul", "multiply"):
            return _scaled(mean, other)
        return _scaled(mean, 1 / other if isinstance(other, (int, float)) and other else None) if is_mean[0] else None

    def _reduced(self, call: Call) -> Fact:
        """``mean`` or ``sum`` of a whole tensor."""
        values = call.input.detach()
        if not self._is_example_major(call.input) or values.numel() == 0:
            return self._no_rows(call, values)
        if not values.is_floating_point():
            return Opaque(f"{call.name} of {values.dtype}, which is no loss", spreads=False)
        rows = self._per_example(_row_sums(values)) * (self.batch_size / values.numel())
        return Mean(rows, factor=1.0 if call.kind == "mean" else float(values.numel()))

    def _reduced_loss(self, call: Call) -> Fact:
        """A loss function of torch.nn.functional: compute it again without reducing it over the batch."""
        options = _signature(call.func).bind(*call.args, **call.kwargs).arguments
        values, target = options.pop("input"), options.pop("target")
        reduction = options.pop("reduction", "mean")
        if any(
            option is not None for option in [options.pop(name, None) for name in ("size_average", "reduce", "weight")]
        ):
            return Opaque(f"{call.name} was given weight, size_average or reduce", spreads=False)
        of_classes = call.name == "cross_entropy"
        if not (self._is_example_major(values) or self._is_example_major(target)) or values.numel() == 0:
            return self._no_rows(call, values)
        if of_classes and (values.dim() < 2 or reduction != "mean"):
            return Opaque(f"{call.name} of shape {tuple(values.shape)} with reduction={reduction!r}", spreads=False)
        if not of_classes and values.shape != target.shape:
            return Opaque(f"{call.name} broadcasts {tuple(values.shape)} and {tuple(target.shape)}", spreads=False)
        values, target = values.detach(), target.detach()
        rows_per_piece = max(1, _PIECE_ELEMENTS * len(values) // values.numel())
        pieces = zip(values.split(rows_per_piece), target.split(rows_per_piece), strict=True)
        sums = [_row_sums(call.func(_widened(x), _widened(y), reduction="none", **options)) for x, y in pieces]
        per_example = self._per_example(*sums)
        if not of_classes:
            factor = 1.0 if reduction == "mean" else float(values.numel())
            return Mean(per_example * (self.batch_size / values.numel()), factor)
        if target.is_floating_point():  # class probabilities: nothing is ignored
            return Mean(per_example * (self.batch_size * values.shape[1] / values.numel()))
        counts = (target != options.get("ignore_index", -100)).reshape(self.batch_size, -1).sum(1)
        return Mean(per_example / counts, adds_up=(counts == counts[0]).all() & (counts[0] > 0))

    def _per_example(self, *row_sums: torch.Tensor) -> torch.Tensor:
        import torch

        sums = row_sums[0] if len(row_sums) == 1 else torch.cat(row_sums)
        return sums.reshape(self.batch_size, -1).sum(1)

    def _moves_examples(self, call: Call, out: torch.Tensor) -> bool:
        """Whether ``out`` has B rows that are not the B rows of the input."""
        if self.batch_size == 1 or not self._has_rows(out):
            return False
        values = call.input
        if call.kind != "view":
            return self._has_rows(values) and 0 in {dim % values.dim() for dim in _dims(call)}
        if values._base is not None and self._has_rows(values._base):  # a view of a view: go back to the first
            values = values._base
        if not self._has_rows(values):
            return False
        if call.name == "__getitem__" and out._base is None:  # indexed with tensors: a copy, of any order
            entries = call.args[1] if isinstance(call.args[1], tuple) else call.args[1:]
            keeps = isinstance(entries[0], slice) or (entries[0] is Ellipsis and len(entries) <= call.input.dim())
            return not keeps
        return out.stride(0) != values.stride(0)

    def _has_rows(self, tensor: torch.Tensor) -> bool:
        import torch

        is_dense = tensor.layout is torch.strided and not tensor.is_nested
        return is_dense and tensor.dim() > 0 and tensor.shape[0] == self.batch_size

    def _is_example_major(self, tensor: torch.Tensor) -> bool:
        return self._has_rows(tensor) or isinstance(self.fact(tensor), Flat)

    def _no_rows(self, call: Call, values: torch.Tensor) -> Opaque:
        shape, size = tuple(values.shape), self.batch_size
        return Opaque(
            f"{call.name} reduced shape {shape}, whose first dimension is not batch_size {size}", spreads=False
        )

    def _remember(self, tensor: torch.Tensor, fact: Fact) -> None:
        key, facts = id(tensor), self.facts

        def forget(dead: weakref.ref[torch.Tensor]) -> None:
            if key in facts and facts[key][0] is dead:
                del facts[key]

        facts[key] = (weakref.ref(tensor, forget), _version(tensor), fact)

    def _forget_ingredients(self, call: Call) -> None:
        """A scalar that scales a larger tensor, such as a learned gate, is no loss though the graph keeps it alive."""
        for arg in call.args:
            if (
                isinstance(entry := self.facts.get(id(arg)), tuple)
                and isinstance(entry[2], Opaque)
                and not entry[2].spreads
            ):
                del self.facts[id(arg)]

    def _differentiated(self, tensors: Any) -> None:
        unseen = Opaque("backward was called on a scalar that no torch call in the block made", spreads=False)
        self.roots += [self.scalar(tensor) or unseen for tensor in _flat((tensors,), {})]

    def choose(self) -> Mean | Opaque:
        """The one scalar that the block was about, by what it left alive, or why that cannot be told."""
        alive = [tensor for reference, _, _ in list(self.facts.values()) if (tensor := reference()) is not None]
        scalars = [(t.requires_grad, fact) for t in alive if t.numel() == 1 and (fact := self.scalar(t)) is not None]
        candidates = [fact for requires_grad, fact in scalars if requires_grad]
        if not candidates:
            candidates = [fact for _, fact in scalars] + self.reads
            if self.roots:
                candidates = [fact for fact in candidates if _same_rows(fact, self.roots[0])] or self.roots
        if not candidates:
            why = "no scalar made in the block was alive at its end, and none was given to backward"
            return Opaque(why, spreads=False)
        first = candidates[0]
        if isinstance(first, Opaque) and len(candidates) == 1:
            return first
        same = all(_same_rows(first, other) and _factor(first) == _factor(other) for other in candidates)
        if same and all(_same_rows(first, root) for root in self.roots):
            return first
        why = "the block made several scalars that could be the loss; name it with captured.check(loss)"
        return Opaque(why, spreads=False)


def _scaled(mean: Mean, factor: Any) -> Mean | None:
    """A multiple of a mean by a number, or by a tensor of one element (then the factor is unknown)."""
    import torch

    if isinstance(factor, torch.Tensor) and factor.numel() == 1:
        return replace(mean, factor=None)
    if not isinstance(factor, (int, float)):
        return None
    return replace(mean, factor=None if mean.factor is None else mean.factor * factor)


def _dims(call: Call) -> list[int]:
    """The dimensions that a call of kind "along", "mean" or "sum" works along."""
    position = _ALONG[call.name]
    given = next((call.kwargs[name] for name in ("dim", "dims", "axis") if name in call.kwargs), None)
    if given is None and len(call.args) > position:
        given = call.args[position:] if call.name == "flip" else call.args[position]
    if given is None:
        given = -1 if call.name == "sort" else 0  # the others work along all
    return [dim for dims in _flat((given,), {}) for dim in _flat((dims,), {}) if isinstance(dim, int)]


def _same_rows(one: Fact, other: Fact) -> bool:
    return isinstance(one, Mean) and isinstance(other, Mean) and one.rows is other.rows


def _factor(fact: Fact) -> float | None:
    return fact.factor if isinstance(fact, Mean) else None


def _flat(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    for value in (*args, *kwargs.values()):
        if isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision as float32, so that a per-example loss is not rounded twice."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor


def _row_sums(values: torch.Tensor) -> torch.Tensor:
    """(N, ...) -> (N,), in float32 or better."""
    import torch

    accumulate = torch.float64 if values.dtype == torch.float64 else torch.float32
    if values.dim() == 1:
        return values.to(accumulate)
    return values.sum(tuple(range(1, values.dim())), dtype=accumulate)


@functools.cache
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func)


@functools.cache
def _kinds() -> dict[Callable[..., Any], str]:
    """What each torch function that matters does, under every name that a mode sees it by."""
    import torch
    from torch.nn import functional

    names = {
        "loss": _LOSSES, "scale": _SCALES, "copy": _COPIES, "reshape": _RESHAPES, "view": _VIEWS, "read": _READS,
        "along": tuple(_ALONG), "mean": ("mean",), "sum": ("sum",),
    }  # fmt: skip
    kinds: dict[Callable[..., Any], str] = {
        function: kind
        for kind, group in names.items()
        for name in group
        for space in ((functional,) if kind == "loss" else (torch, torch.Tensor))
        if (function := getattr(space, name, None)) is not None
    }
    kinds |= {getattr(torch.Tensor, name).__get__: "view" for name in _VIEW_PROPERTIES}
    kinds |= {torch.Tensor.__getitem__: "view", torch.Tensor.__setitem__: "setitem"}
    return kinds | {
        torch.Tensor.backward: "backward",
        torch.autograd.backward: "backward",
        torch.autograd.grad: "backward",
    }
