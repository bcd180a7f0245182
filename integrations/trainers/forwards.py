"""A model's own forwards, seen from outside while a trainer makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

__all__ = ["Forward", "forwards_of"]


class Forward(NamedTuple):
    """One that a gradient can go through: what it returned, and the labels that it was given, if any."""

    outputs: Any
    labels: Any


@contextmanager
def forwards_of(model: Any) -> Iterator[list[Forward]]:
    """The forwards of ``model`` in the block, as they come; those without a graph are left out.

    Nothing is computed, and the model is as before when the block has ended.
    """
    seen: list[Forward] = []

    def see(kwargs: Mapping[str, Any], outputs: Any) -> None:
        if torch.is_grad_enabled():
            seen.append(Forward(outputs, kwargs.get("labels")))

    has_hooks = isinstance(model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule)
    undo = _watch(model, see) if has_hooks else lambda: None
    try:
        yield seen
    finally:
        undo()


def _watch(model: torch.nn.Module, see: Callable[[Mapping[str, Any], Any], None]) -> Callable[[], None]:
    # After Module.compile() hooks are compiled too, and anew when they change: look outside of what is compiled.
    compiled: Any = getattr(model, "_compiled_call_impl", None)
    if compiled is None:
        hook: Any = lambda _module, _args, kwargs, outputs: see(kwargs, outputs)  # noqa: E731
        return model.register_forward_hook(hook, with_kwargs=True).remove

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs = compiled(*args, **kwargs)
        see(kwargs, outputs)
        return outputs

    object.__setattr__(model, "_compiled_call_impl", call)
    return lambda: object.__setattr__(model, "_compiled_call_impl", compiled)
