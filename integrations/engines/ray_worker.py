"""What runs in the actors of a Ray cluster. A module of its own: it is imported on every machine."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from ray import cloudpickle

from loss_logging.errors import LossLoggingError
from loss_logging.evaluation.computation import Computation
from loss_logging.evaluation.journal import table_of_draw
from loss_logging.evaluation.selection import Item, check_records, items_of, part_of
from loss_logging.records.columns import SCHEMA
from loss_logging.support.chance import hash_of, uniform_of

__all__ = ["Attempts", "Reply", "Worker", "chosen"]

Keys: TypeAlias = npt.NDArray[np.uint64]

_MOST_ATTEMPTS = 3


def chosen(fraction: float, seed: int, rows: pa.Table) -> pa.Table:
    """The rows whose item is taken, and those that say what could not be read."""
    names = {
        name: column.to_pylist() if name.startswith(("path", "dataset")) else []
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    }
    items = _items(names)
    errors = rows["error"].to_pylist() if "error" in rows.column_names else [None] * rows.num_rows
    taken = [
        error is not None or uniform_of("sample", seed, item.path) < fraction
        for item, error in zip(items, errors, strict=True)
    ]
    return rows.filter(pa.array(taken, pa.bool_()))


class Reply:
    """What came of a batch.

    Args:
        records: each with its draw as its step.
        skipped: dataset, path and draw of what was computed already.
        failed: the images that do not open, and why.
        items: how many did.
        error: what went wrong; then the rest is empty.
    """

    def __init__(
        self,
        records: list[pa.Table],
        skipped: list[tuple[str | None, str, int]],
        failed: list[str],
        items: int,
        error: Exception | None = None,
    ) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(pa.concat_tables([SCHEMA.empty_table(), *records]))
        self._records = sink.getvalue().to_pybytes()
        self.skipped = skipped
        self.failed = failed
        self.items = items
        self._error = None if error is None else _portable(error)
        self._traceback = "" if error is None else "".join(traceback.format_exception(error))

    def encode(self) -> bytes:
        """As bytes."""
        return bytes(cloudpickle.dumps(self))

    @staticmethod
    def decode(reply: bytes) -> Reply:
        """The inverse of `encode`."""
        decoded: Reply = cloudpickle.loads(reply)
        return decoded

    def table(self) -> pa.Table:
        """The records."""
        return pa.ipc.open_stream(self._records).read_all()

    def raise_error(self) -> None:
        """Raise what went wrong, if anything did, with the traceback of the actor as its cause."""
        if self._error is not None:
            raise self._error from LossLoggingError(f"in an actor:\n{self._traceback}")


class Attempts:
    """Counts how often a batch was begun and not finished, outside the processes that it may have ended."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, batch: int) -> int:
        """How often it was begun before."""
        self._begun[batch] += 1
        return self._begun[batch] - 1

    def finish(self, batch: int) -> None:
        """It will not come again."""
        del self._begun[batch]


class Worker:
    """An actor: loads the model once, then computes batch after batch.

    Args:
        computation: what to compute.
        skip: reference of the sorted keys of the draws that are computed, and are not computed again.
        only: reference of the sorted keys of the items to take; of None for all.
        attempts: a handle of the `Attempts`.
    """

    def __init__(self, computation: Computation, skip: Any, only: Any, attempts: Any) -> None:
        self._skip, self._only = _fetch(skip, only)
        self._attempts = attempts
        self._error: Exception | None = None
        try:
            self._computation = computation.loaded()
        except Exception as error:  # noqa: BLE001 - the caller's; it travels there with the first batch
            self._error = error

    def __call__(self, rows: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """One `Reply`."""
        try:
            if self._error is not None:
                raise self._error
            reply = self._compute({name: _plain(column) for name, column in rows.items()})
        except Exception as error:  # noqa: BLE001 - the caller's too
            reply = Reply([], [], [], 0, error)
        return {"reply": [reply.encode()]}

    def _compute(self, batch: Any) -> Reply:
        items = _items(batch)
        if self._only is not None:
            batch = part_of(batch, _places(self._only, [hash_of(*item) for item in items]), len(items))
            items = _items(batch)
        finished = [self._finished(items, number) for number in range(self._computation.draws)]
        skipped = [(*items[place], number) for number, places in enumerate(finished) for place in sorted(places)]
        whole = set.intersection(*finished)
        left = [place for place in range(len(items)) if place not in whole]
        failed: list[str] = []
        records: list[pa.Table] = []
        if left:
            batch = part_of(batch, left, len(items))
            key = self._begin(batch)
            if (load := getattr(self._computation.compute_fn, "load", None)) is not None:
                batch, failed = load(batch)
            records = [table for number in range(len(finished)) for table in self._draw(batch, number)]
            self._attempts.finish.remote(key)
        return Reply(records, skipped, failed, len(items) - len(failed))

    def _draw(self, batch: Any, number: int) -> list[pa.Table]:
        items = _items(batch)
        finished = self._finished(items, number)
        places = [place for place in range(len(items)) if place not in finished]
        if not places:
            return []
        todo = part_of(batch, places, len(items))
        records = self._computation.records(todo, number)
        check_records(records, Counter(item.path for item in _items(todo)))
        return [table_of_draw(number, records)]

    def _begin(self, batch: Any) -> int:
        """The key of the batch.

        Raises:
            LossLoggingError: it has ended too many processes.
        """
        items = _items(batch)
        key = hash_of(*items)
        if (before := ray.get(self._attempts.begin.remote(key))) >= _MOST_ATTEMPTS:
            raise LossLoggingError(
                f"the {len(items)} items from {items[0].path!r} on have ended the process that computed them {before} "
                "times, out of memory perhaps; a smaller batch_size or more memory for each actor may help"
            )
        return key

    def _finished(self, items: list[Item], number: int) -> set[int]:
        return set(_places(self._skip, [hash_of(*item, number) for item in items])) if len(self._skip) else set()


def _portable(error: Exception) -> Exception:
    """The error, or its text where it cannot be pickled."""
    try:
        copy: Exception = cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its own pickling raises
        return RuntimeError(repr(error))
    return copy


def _items(batch: Any) -> list[Item]:
    items = items_of(batch)
    if items is None:
        raise ValueError(f"the dataset has the columns {', '.join(batch) or 'none'}; expected one named 'path'")
    return items


def _fetch(skip: Any, only: Any) -> tuple[Keys, Keys | None]:
    """The keys, in memory that the actors of a machine share."""
    fetched: tuple[Keys, Keys | None] = (ray.get(skip), ray.get(only))
    return fetched


def _places(keys: Keys, wanted: list[int]) -> list[int]:
    """Where in ``wanted`` the ones are that the sorted ``keys`` hold."""
    array = np.array(wanted, np.uint64)
    if not len(keys):
        return []
    found = keys[np.minimum(np.searchsorted(keys, array), len(keys) - 1)] == array
    return [int(place) for place in np.flatnonzero(found)]


def _plain(column: Any) -> Any:
    """Text and bytes as lists, as a DataLoader has them; numbers as arrays."""
    return column.tolist() if column.dtype.kind in "OUS" else column
