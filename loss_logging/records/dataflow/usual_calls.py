"""Calls that need no closer look, as they keep one row per example; nearly all calls of a model do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from loss_logging.records.dataflow.call_results import kinds
from loss_logging.records.dataflow.torch_call import elementwise
from loss_logging.records.dataflow.torch_indexing import getitem
from loss_logging.records.dataflow.torch_products import attention, linear, matmul
from loss_logging.records.dataflow.torch_rules import rules
from loss_logging.records.dataflow.torch_shapes import batch_first, concatenation, reshape, spatial_dims, view
from loss_logging.records.dataflow.trace import Trace

if TYPE_CHECKING:
    import torch

__all__ = ["CHANGES_ARGUMENTS", "usual_calls", "ways", "without_result"]

# What a function does to the rows; or how many dimensions its input has, where its first is then the batch.
ELEMENTWISE, VIEW, RESHAPE, CHANGES_ARGUMENTS, MATRICES, CONCATENATION, LAST, ANY_DIMENSIONS = *range(-7, 0), 0
_OPERATORS = ("add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift")

IsUsual: TypeAlias = "Callable[[int | None, tuple[Any, ...], Mapping[str, Any] | None, torch.Tensor], bool]"


def usual_calls(trace: Trace) -> IsUsual:
    """A function that tells whether a call changes no fact. It has to be fast, and False is always allowed."""
    import torch

    in_transform = torch._C._functorch.peek_interpreter_stack
    tensor, facts, overwritten, size = torch.Tensor, trace.facts, trace.overwritten.times, trace.batch_size

    def holds_no_examples(values: Iterable[Any]) -> bool:
        for value in values:
            kind = type(value)
            if kind is tensor:
                if (facts and id(value) in facts) or ((shape := value.shape) and shape[0] == size):
                    return False
            elif kind is list or (kind is tuple and not holds_no_examples(value)):
                return False
        return True

    def are_rows(parts: Any, dims: int) -> bool:
        if not isinstance(parts, (list, tuple)):
            return False
        for part in parts:
            if type(part) is not tensor or (facts and id(part) in facts):
                return False
            shape = part.shape
            if len(shape) != dims or shape[0] != size:
                return False
        return True

    def is_usual(
        way: int | None, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, result: torch.Tensor
    ) -> bool:
        shape = result.shape  # of all ways to ask for sizes the cheapest
        if not shape or overwritten or not args or in_transform() is not None:
            return False
        if shape[0] != size:
            return holds_no_examples(args) and (not kwargs or holds_no_examples(kwargs.values()))
        if way is None:
            return False
        first = args[0]
        dims = len(shape)
        if way == CONCATENATION:
            return are_rows(first, dims)
        if type(first) is not tensor or (facts and id(first) in facts):
            return False
        of_first = first.shape
        if not of_first or of_first[0] != size:
            return False
        if way == ELEMENTWISE:
            if len(of_first) != dims:
                return False
        elif way == RESHAPE:
            return True
        elif way == VIEW:
            return _is_view_of_rows(first, result)
        elif (
            dims < 2 or (way > 0 and len(of_first) != way) or (way < 0 and not _is_within_rows(way, args, kwargs, dims))
        ):
            return False
        for others in (args[1:], kwargs.values()) if kwargs else (args[1:],):
            for other in others:
                if type(other) is tensor:
                    if facts and id(other) in facts:
                        return False
                    own = other.shape  # it could hold the examples along another dimension of the result
                    if own and own[0] == size and (len(own) != dims or way not in (ELEMENTWISE, MATRICES)):
                        return False
        return True

    return is_usual


def _is_within_rows(way: int, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, dims: int) -> bool:
    """Whether products of matrices, and functions along the last dimensions, keep the first dimension."""
    if way == MATRICES:
        return dims > 2 and args[0].dim() == dims
    along = args[1] if len(args) > 1 else (kwargs or {}).get("dim")
    return along == -1 if isinstance(along, int) else isinstance(along, tuple) and len(along) < dims


def _is_view_of_rows(first: torch.Tensor, result: torch.Tensor) -> bool:
    """Whether the first dimension is still the same: it has the largest stride, which no other dimension has."""
    strides = first.stride()
    top = strides[0]
    return (
        bool(top)
        and top == result.stride()[0] == max(strides)  # one stride alone takes longer to ask for
        and strides.count(top) == 1
        and result._base is not None
    )


@functools.cache
def ways() -> dict[Callable[..., Any], int]:
    """The functions that :func:`usual_calls` knows, and the functions whose arguments must be noted before the call."""
    import torch

    found: dict[Callable[..., Any], int] = {}
    of_rule = {
        elementwise: ELEMENTWISE,
        reshape: RESHAPE,
        view: VIEW,
        getitem: VIEW,
        linear: ANY_DIMENSIONS,
        attention: MATRICES,
        matmul: MATRICES,
        concatenation: CONCATENATION,
    }
    for function, rule in rules().items():
        if rule is batch_first:
            spatial = spatial_dims(getattr(function, "__name__", ""))
            found[function] = ANY_DIMENSIONS if spatial is None else spatial + 2
        elif getattr(function, "__name__", "") in ("softmax", "log_softmax", "layer_norm", "rms_norm"):
            found[function] = LAST
        elif rule in of_rule:
            found[function] = of_rule[rule]
    found |= dict.fromkeys(_in_place(), CHANGES_ARGUMENTS)
    found[torch.nn.functional.l1_loss] = CHANGES_ARGUMENTS
    return found


def _in_place() -> set[Callable[..., Any]]:
    import torch

    names = [name for name in dir(torch.Tensor) if name.endswith("_") and not name.endswith("__")]
    names += [name for name in dir(torch.Tensor) if name.startswith("__i") and name.strip("_")[1:] in _OPERATORS]
    names.append("__setitem__")
    found = {getattr(torch.Tensor, name) for name in names}
    return found | {f for name in names if callable(f := getattr(torch, name, None))}


@functools.cache
def without_result() -> frozenset[Callable[..., Any]]:
    """The functions without a tensor as result that still need a look."""
    return frozenset(f for f, kind in kinds().items() if kind in ("read", "backward", "setitem", "setdata"))
