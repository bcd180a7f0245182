"""Computation: what an engine does with each batch, in this process or in another."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.selection import items_of
from loss_logging.evidence.rivals import Rivals
from loss_logging.records.record import RecordLike, SampleRecord, as_records

__all__ = ["Computation"]


class Computation(NamedTuple):
    """The compute function and what it is asked for.

    Args:
        compute_fn: the function, or a class of such functions; `functools.partial` gives the class its arguments.
        seed: of what is drawn.
        draws: how many draws there are.
        paired: whether each record must have ``loss_empty``.
        rivals: what batches get as ``rivals``; then records of items that have some must have ``loss_rival``.
    """

    compute_fn: Callable[..., Any]
    seed: int
    draws: int
    paired: bool
    rivals: Rivals | None = None

    @property
    def takes_draw(self) -> bool:
        """Whether the function has a parameter for the draw."""
        kind = self._kind
        return "draw" in inspect.signature(self.compute_fn if kind is None else kind.__call__).parameters

    def loaded(self) -> Computation:
        """With the function itself: a class is called, once for each process that computes."""
        return self if self._kind is None else self._replace(compute_fn=self.compute_fn())

    def records(self, batch: Any, number: int) -> list[SampleRecord]:
        """The records of one draw.

        Raises:
            ValueError: a record lacks a key, or ``loss_empty`` or ``loss_rival`` where it is needed; or there are
                rivals, and the batch does not say what its items are.
        """
        batch = batch if self.rivals is None else self._with_rivals(batch, self.rivals)
        arguments = (batch, Draw(self.seed, number, self.draws)) if self.takes_draw else (batch,)
        returned: Iterable[RecordLike] = self.compute_fn(*arguments)
        records = as_records(returned)
        for record in records if self.paired else ():
            if record.loss_empty is None:
                raise ValueError(f"paired=True, but the record of {record.path!r} has no loss_empty")
        for record in records:
            if record.loss_rival is None and self.rivals and self.rivals.of(record.path, record.dataset):
                raise ValueError(f"rivals were given, but the record of {record.path!r} has no loss_rival")
        return records

    def _with_rivals(self, batch: Any, rivals: Rivals) -> Any:
        items = items_of(batch)
        if items is None:
            raise ValueError("rivals takes batches that are mappings with paths, as docs/compute_function.md says")
        return {**batch, "rivals": [list(rivals.of(item.path, item.dataset or "")) for item in items]}

    @property
    def _kind(self) -> type[Any] | None:
        function = self.compute_fn
        while isinstance(function, functools.partial):
            function = function.func
        return function if isinstance(function, type) else None
