"""The local engine: evaluates batch after batch in this process."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TYPE_CHECKING, Any

from loss_logging.errors import LossLoggingError
from loss_logging.evaluation.computation import Computation
from loss_logging.evaluation.journal import Journal
from loss_logging.evaluation.selection import Item, Selection, check_records, items_of, part_of
from loss_logging.records.record import SampleRecord

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["evaluate_locally", "evaluation_bar"]


def evaluate_locally(
    computation: Computation, dataloader: Iterable[Any], selection: Selection, journal: Journal, progress: bool
) -> list[str]:
    """Compute what the journal has not, and add it; returns the sentences that the dataloader has for the report."""
    draws = computation.draws
    with _Progress(selection, dataloader, journal.finished_items(draws), progress) as bar, journal:
        computation = computation.loaded()
        ambiguous: set[Item] = set()
        for batch in selection.take_from(dataloader):
            expected: Counter[str] | None = None
            for number in range(draws):
                for todo in _left_of(batch, journal, number, ambiguous):
                    records = selection.keep(todo, computation.records(todo, number))
                    expected = _check_draws(todo, records, expected)
                    journal.add(number, records)
                    if number == draws - 1:
                        bar.update(len(records))
        if ambiguous:
            journal.forget(ambiguous)
            _compute_again(ambiguous, computation, dataloader, selection, journal)
    return list(getattr(dataloader, "warnings", ()))


def _compute_again(
    wanted: set[Item], computation: Computation, dataloader: Iterable[Any], selection: Selection, journal: Journal
) -> None:
    """All of the items that come several times and were there in part: nothing says which of them they were.

    Raises:
        LossLoggingError: the dataloader can be read once only; what is missing is computed at the next call.
    """
    missing = set(wanted)
    again = selection.restarted()
    for batch in again.take_from(dataloader):
        items = items_of(batch) or []
        places = [place for place, item in enumerate(items) if item in wanted]
        missing.difference_update(items)
        for number in range(computation.draws) if places else ():
            todo = part_of(batch, places, len(items))
            journal.add(number, again.keep(todo, computation.records(todo, number)))
    if missing:
        raise LossLoggingError(
            f"the dataloader gave {len(missing)} of its items once only, {min(missing).path!r} among them, which come "
            "several times and were computed in part; call it again to have them computed, or give a dataloader that "
            "can be read twice"
        )


def evaluation_bar(finished: int, shown: bool) -> tqdm[Any]:
    """A bar of items on standard error, of which an interrupted evaluation has finished some."""
    from tqdm import tqdm

    return tqdm(
        desc="evaluating", unit="item", initial=finished, disable=not shown, file=sys.stderr, dynamic_ncols=True
    )


class _Progress:
    """A progress bar of items. How many there will be is estimated from the batches so far, where it is not known.

    Args:
        selection: knows how many items were taken.
        dataloader: knows the number of its batches, perhaps.
        finished: how many items were finished by an interrupted evaluation; they do not count as fast ones.
        shown: False shows nothing.
    """

    def __init__(self, selection: Selection, dataloader: Iterable[Any], finished: int, shown: bool) -> None:
        self._selection = selection
        self._dataloader = dataloader
        self.bar = evaluation_bar(finished, shown)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.bar.total = self.bar.n
        self.bar.close()

    def update(self, items: int) -> None:
        """So many more are finished."""
        self.bar.total = self._expected()
        self.bar.update(items)

    def _expected(self) -> int | None:
        taken, most, seen = self._selection.taken, self._selection.most, self._selection.batches
        if (batches := length_hint(self._dataloader, -1)) < 0:
            return most
        expected = round(taken / max(seen, 1) * max(batches, seen))
        return expected if most is None else min(expected, most)


def _left_of(batch: Any, journal: Journal, draw: int, ambiguous: set[Item]) -> Iterator[Any]:
    """The batch without the items whose draw an interrupted evaluation has computed; nothing when none is left."""
    items = items_of(batch) or []
    places = [place for place, item in enumerate(items) if not journal.take(item, draw)]
    ambiguous.update(items[place] for place in places if journal.is_ambiguous(items[place], draw))
    if places or not items:
        yield part_of(batch, places, len(items))


def _check_draws(batch: Any, records: list[SampleRecord], expected: Counter[str] | None) -> Counter[str] | None:
    """In a batch that does not say what its items are, each draw must have records of the same ones."""
    if items_of(batch) is not None:
        return None
    if expected is not None:
        check_records(records, expected)
    return Counter(str(record.path) for record in records)
