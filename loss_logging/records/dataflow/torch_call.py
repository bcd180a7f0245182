"""A torch call as the rules see it, and the rule of elementwise functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from loss_logging.records.dataflow.example_layout import Layout

if TYPE_CHECKING:
    import torch

__all__ = ["Call", "Rule", "carried_over", "elementwise", "flat"]

Rule: TypeAlias = "Callable[[Call], list[Layout | None]]"


@dataclass(frozen=True, eq=False)
class Call:
    """A torch call. ``layouts``: the layouts of its tensors with examples, by id."""

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
    """The values of a call's arguments, including values in lists and tuples."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, (list, tuple)):
            yield from flat(value, {})
        else:
            yield value


def carried_over(call: Call, shape: Sequence[int], operands: Sequence[torch.Tensor]) -> Layout | None:
    """The layout of an elementwise result of operands broadcast to ``shape``; None if it combines examples."""
    own = [call.layouts.get(id(x)) for x in operands]
    if own and own[0] is not None and all(x.shape == shape for x in operands) and all(one == own[0] for one in own):
        return own[0]
    layouts = [layout.expanded(shape) for x in operands if (layout := call.layout_of(x)) is not None]
    return layouts[0] if all(layout == layouts[0] for layout in layouts) else None


def elementwise(call: Call) -> list[Layout | None]:
    operands = [call.input] if call.name in ("to", "type_as") else list(call.operands)
    return [carried_over(call, out.shape, operands) for out in call.outs]
