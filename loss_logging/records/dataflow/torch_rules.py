"""The effect of torch functions on the examples of a batch: from layouts of arguments to layouts of results.

A function that is not listed here may do anything, so its results have no known layout.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from loss_logging.records.dataflow.example_layout import Layout
from loss_logging.records.dataflow.torch_call import Call, Rule, elementwise, flat
from loss_logging.records.dataflow.torch_indexing import getitem, index_select, lookup, picked
from loss_logging.records.dataflow.torch_names import ALONG, BATCH_FIRST, ELEMENTWISE, RESHAPES, VIEW_PROPERTIES, VIEWS
from loss_logging.records.dataflow.torch_products import (
    addmm,
    attention,
    einsum,
    linear,
    matmul,
    multi_head_attention,
    pairwise,
    recurrent,
)
from loss_logging.records.dataflow.torch_shapes import (
    along,
    batch_first,
    concatenation,
    repeat,
    repeat_interleave,
    reshape,
    view,
)

__all__ = ["carried_on", "rules"]

_MAX_ANSWERS = 10_000
_answers: dict[Hashable, list[Layout | None]] = {}


def carried_on(call: Call) -> tuple[list[Layout | None], bool]:
    """The layouts of a call's results, None if unknown, and whether the function is known at all.

    They depend only on shapes and layouts, which are the same in every step of a training, so answers are cached.
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


def _key(call: Call) -> Hashable | None:
    """A key of all that a rule reads; None if it reads values of an index, or cannot be described."""
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


@functools.cache
def rules() -> dict[Callable[..., Any], Rule]:
    """The rule of each function, under every name that a mode sees."""
    import torch
    from torch.nn import functional

    everywhere = (torch, torch.Tensor, torch.functional, functional)
    named = {
        elementwise: ELEMENTWISE, reshape: RESHAPES, view: VIEWS, along: tuple(ALONG),
        batch_first: BATCH_FIRST,
        matmul: ("matmul", "bmm", "mm", "mv", "dot", "inner_product", "__matmul__"),
        linear: ("linear",), addmm: ("addmm", "baddbmm"), einsum: ("einsum",),
        attention: ("scaled_dot_product_attention",),
        concatenation: ("cat", "concat", "concatenate", "stack"), repeat: ("repeat", "tile"),
        repeat_interleave: ("repeat_interleave",), lookup: ("embedding", "one_hot"),
        picked: ("gather", "take_along_dim", "scatter", "scatter_add", "scatter_", "scatter_add_"),
        index_select: ("index_select",), pairwise: ("cosine_similarity", "pairwise_distance"),
        recurrent: ("lstm", "gru", "rnn_tanh", "rnn_relu"),
        multi_head_attention: ("multi_head_attention_forward",),
    }  # fmt: skip
    rules: dict[Callable[..., Any], Rule] = {}
    for rule, names in named.items():
        for name in names:
            for space in everywhere:
                if name == "unfold" and (rule is view) != (space is torch.Tensor):
                    continue
                for variant in (name, f"{name}_") if rule in (elementwise, along) else (name,):
                    if callable(function := getattr(space, variant, None)):
                        rules[function] = rule
    for space in (torch.special, torch.linalg, torch.fft):
        for rule, names in named.items():
            if rule in (elementwise, along, matmul):
                rules |= {function: rule for name in names if callable(function := getattr(space, name, None))}
    rules |= {getattr(torch.Tensor, name).__get__: view for name in VIEW_PROPERTIES}
    rules |= {torch.Tensor.data.__get__: elementwise, torch.Tensor.real.__get__: elementwise}  # type: ignore[attr-defined]
    rules[torch.Tensor.__getitem__] = getitem
    return rules
