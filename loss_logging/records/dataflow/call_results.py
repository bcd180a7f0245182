"""Results: the facts about a call's results, from the facts about its arguments."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loss_logging.records.dataflow.example_layout import Layout, axis, rows
from loss_logging.records.dataflow.facts import PLAIN, Fact, Mean, Opaque, Plain, scaled, with_nothing_added
from loss_logging.records.dataflow.loss_functions import LOSSES, bound, shares, unreduced_layout
from loss_logging.records.dataflow.tensor_state import is_parameter
from loss_logging.records.dataflow.torch_call import Call, flat
from loss_logging.records.dataflow.torch_names import FRESH, READS, RESHAPES, VIEWS
from loss_logging.records.dataflow.torch_rules import carried_on, rules
from loss_logging.records.dataflow.torch_shapes import reshape

if TYPE_CHECKING:
    import torch

__all__ = ["Results", "kinds"]

_SCALES = ("mul", "multiply", "div", "divide", "true_divide", "add", "sub", "neg", "__rmul__")
_COPIES = (
    "to", "float", "double", "half", "bfloat16", "cpu", "cuda", "detach", "clone", "contiguous", "requires_grad",
    "type", "type_as", "__get__", "__getitem__", "alias", "mean", "sum", "stack", "cat", "nanmean", "nansum",
)  # fmt: skip


class Results:
    """The facts about the results of calls, for batches of one size."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.kinds = kinds()

    def of(self, call: Call, known: dict[int, Fact], before: torch.Tensor | None) -> list[Fact]:
        """``known``: the facts about the arguments, by id; ``before``: the first of them before ``add_``."""
        given = list(known.values())
        if self.batch_size > 1 and any(isinstance(fact, Mean) for fact in given):
            means = [fact for fact in given if isinstance(fact, Mean)]
            passed_on = [
                self._passed_on(call, means[0], known, out, before) if len(means) == 1 else None for out in call.outs
            ]
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
            return [self._of_one(Layout(tuple(map(axis, out.shape)), first), out) for out in call.outs]
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

    def _of_one(self, layout: Layout, out: torch.Tensor) -> Fact:
        """In a batch of one, a scalar of the example is its loss."""
        if self.batch_size == 1 and out.numel() == 1 and out.is_floating_point():
            return Mean(out.detach().reshape(1).clone())
        return layout

    def _plain(self, call: Call, out: torch.Tensor) -> Plain | Layout:
        size = self.batch_size
        is_rows = rules().get(call.func) is reshape and out.dim() and out.shape[0] == size
        if is_rows and not is_parameter(call.input) and size in itertools.accumulate(call.input.shape, operator.mul):
            return rows(out.shape)  # the batch came in two dimensions
        if out.numel() != 1 or not out.is_floating_point():
            return PLAIN
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

    def _passed_on(
        self, call: Call, mean: Mean, known: dict[int, Fact], out: torch.Tensor, before: torch.Tensor | None
    ) -> Mean | None:
        """The fact about a scalar made from ``mean``, a copy or multiple of it; None for any other scalar."""
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
            return scaled(mean, -1.0)
        if len(call.args) != 2:
            return None
        on_left = known.get(id(call.args[0])) is mean
        other = call.args[1 if on_left else 0]
        if name in ("add", "sub"):  # sum([loss]) adds it to 0
            other = before if call.name == "add_" and not on_left else other
            return with_nothing_added(mean, other) if name == "add" or on_left else None
        if name in ("mul", "multiply", "__rmul__"):
            return scaled(mean, other)
        return scaled(mean, 1 / other if isinstance(other, (int, float)) and other else other) if on_left else None


@functools.cache
def kinds() -> dict[Callable[..., Any], str]:
    """The functions with a special treatment, under every name that a mode sees."""
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
        torch.Tensor.grad.__get__: "fresh",  # type: ignore[union-attr]
        **dict.fromkeys((torch.tensor, torch.as_tensor, torch.asarray), "from outside"),
        torch.Tensor.__setitem__: "setitem",
        torch.Tensor.data.__set__: "setdata",  # type: ignore[attr-defined]
        torch.Tensor.backward: "backward",
        torch.autograd.backward: "backward",
        torch.autograd.grad: "backward",
    }
