"""Examples that carry their names through a data loader, and where each lies in the batch that was made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import IterableDataset, get_worker_info

from loss_logging.errors import LossLoggingError
from loss_logging.records.columns import as_text
from loss_logging.runs.exclusions import Exclusions

__all__ = ["KEY", "Batch", "Collator", "Name", "Names", "Span", "named"]

KEY = "loss_logging_names"
_MAX_CAPTION = 2000
_TOKENS = (("input_ids",), ("prompt_ids", "chosen_ids"), ("prompt_ids", "completion_ids"), ("chosen_ids",))


class Name(NamedTuple):
    """What an example is called."""

    path: str
    dataset: str
    caption: str


class Span(NamedTuple):
    """The tokens of an example: those from ``start`` to before ``stop`` in a row of the batch."""

    row: int
    start: int
    stop: int


class _Item(NamedTuple):
    """``lengths``: the number of tokens of each of the documents that one item was packed of; None where it is one."""

    names: list[Name]
    lengths: list[int] | None
    problem: str
    left_out: tuple[Name, ...] = ()
    """Those that the stream has left out since the item before."""


class Batch:
    """The examples of a batch. It is no tuple and no mapping: those are taken apart on their way to a device.

    Attributes:
        names: of each example; an item that was packed of several documents has one for each.
        items: how many items of the dataset there are.
        spans: where each lies, in a batch that has not one row for each; None where it has.
        paired: whether there are two rows for each example.
        problem: why the examples of the batch are not known, or "".
        left_out: those that the stream has left out on the way here.
    """

    def __init__(self, features: Sequence[Any], items: Sequence[_Item | None], batch: Mapping[str, Any]) -> None:
        known = [item for item in items if item is not None]
        self.names = [name for item in known for name in item.names]
        self.items = len(items)
        self.left_out = [name for item in known for name in item.left_out]
        self.problem = next((item.problem for item in known if item.problem), "")
        self.spans: list[Span] | None = None
        self.paired = False
        if len(known) < len(items):
            self.problem = "some items of the dataset are no mappings"
        elif not self.problem:
            self._lay_out(features, known, batch)

    def _lay_out(self, features: Sequence[Any], items: Sequence[_Item], batch: Mapping[str, Any]) -> None:
        tokens = batch.get("input_ids", next((part for part in batch.values() if isinstance(part, torch.Tensor)), None))
        if not isinstance(tokens, torch.Tensor) or tokens.ndim == 0:
            return  # what it is computed from shows whether there is a row for each
        if len(tokens) == len(items):
            if any(item.lengths for item in items):
                self.spans = [span for row, item in enumerate(items) for span in _spans(row, item.lengths or [])]
        elif len(tokens) == 2 * len(items):
            self.paired = True
        elif len(tokens) == 1 and (lengths := _lengths(features, items)) and sum(lengths) <= tokens.numel():
            self.spans = _spans(0, lengths)
        else:
            self.problem = f"the collator made {len(tokens)} rows of {len(items)} examples"


def _spans(row: int, lengths: Sequence[int]) -> list[Span]:
    stops = torch.tensor(lengths).cumsum(0).tolist()
    return [Span(row, stop - length, stop) for length, stop in zip(lengths, stops, strict=True)]


def _lengths(features: Sequence[Any], items: Sequence[_Item]) -> list[int]:
    if not all("input_ids" in feature for feature in features):
        return []
    return [
        length
        for feature, item in zip(features, items, strict=True)
        for length in item.lengths or [len(feature["input_ids"])]
    ]


class Names(NamedTuple):
    """The columns that name an example; where one is None, it is called by its number, "train" and its tokens' text.

    ``numbers`` are those of the examples of a dataset that some were left out of; None where none were.
    """

    path: str | None
    dataset: str | None
    caption: str | None
    tokenizer: Any
    numbers: Sequence[int] | None = None

    @property
    def columns(self) -> list[str]:
        """Those that the dataset must have."""
        return [column for column in self[:3] if column is not None]

    def check(self, columns: Sequence[str]) -> None:
        """Raise where one is missing.

        Raises:
            LossLoggingError: names it, and those that there are.
        """
        if missing := next((column for column in self.columns if column not in columns), None):
            packed = "; packing keeps no other columns: call log_losses without path, dataset and caption"
            raise LossLoggingError(
                f"log_losses: the dataset has no column {missing!r}; it has {', '.join(columns)}"
                f"{packed if 'seq_lengths' in columns else ''}"
            )

    def add(self, item: Any, index: int | str) -> Any:
        """The item with its names; as it is where it has no columns."""
        return {**item, KEY: self.of(item, index)} if isinstance(item, Mapping) else item

    def of(self, item: Mapping[str, Any], index: int | str) -> _Item:
        """What an item of the dataset is called, or each document in it."""
        try:
            self.check(list(item))
        except LossLoggingError as error:  # its columns were not known before: training goes on
            return _Item([], None, str(error))
        lengths = _documents(item)
        path = str(index) if self.path is None else as_text(item[self.path])
        dataset = "train" if self.dataset is None else as_text(item[self.dataset])
        if lengths is None:
            return _Item([Name(path, dataset, self._caption(item, self._tokens(item)))], None, "")
        tokens = item["input_ids"]
        names = [
            Name(f"{path}/{number}", dataset, self._caption(item, tokens[span.start : span.stop]))
            for number, span in enumerate(_spans(0, lengths))
        ]
        return _Item(names, lengths, "")

    def of_table(self, dataset: Any) -> tuple[Sequence[object], Sequence[object] | str] | None:
        """The paths and datasets of all items, as far as that takes no look at an item: from columns, or by number."""
        needed = [column for column in self[:2] if column is not None]
        if not hasattr(dataset, "__len__") or not set(needed) <= set(getattr(dataset, "column_names", None) or ()):
            return None
        table = dataset.with_format(None) if needed else None  # a transform is for items
        paths = range(len(dataset)) if self.path is None or table is None else list(table[self.path])
        return paths, "train" if self.dataset is None or table is None else list(table[self.dataset])

    def _caption(self, item: Mapping[str, Any], tokens: Any) -> str:
        if self.caption is not None:
            return as_text(item[self.caption])
        if not len(tokens) or not hasattr(self.tokenizer, "decode"):
            return ""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text[:_MAX_CAPTION]

    def _tokens(self, item: Mapping[str, Any]) -> Any:
        columns = next((names for names in _TOKENS if all(name in item for name in names)), ())
        return item[columns[0]] if len(columns) == 1 else [token for name in columns for token in item[name]]


def _documents(item: Mapping[str, Any]) -> list[int] | None:
    """How many tokens each document of a packed item has, as TRL says it."""
    lengths = item.get("seq_lengths")
    if lengths is None or "input_ids" not in item:
        return None
    lengths = torch.as_tensor(lengths).flatten().tolist()
    return lengths if lengths and sum(lengths) == len(item["input_ids"]) else None


# --- datasets -----------------------------------------------------------------------------------------------------


def named(dataset: Any, names: Names, exclusions: Exclusions) -> Any:
    """A dataset that offers what this one does, so that it is read in the same way and order.

    Args:
        dataset: of a Trainer.
        names: of its items.
        exclusions: what a stream leaves out; other datasets are without it.
    """
    if isinstance(dataset, IterableDataset):
        return (_SizedStream if hasattr(dataset, "__len__") else _NamedStream)(dataset, names, exclusions)
    return (_NamedBatches if hasattr(dataset, "__getitems__") else _NamedItems)(dataset, names)


class _Named:
    def __init__(self, dataset: Any, names: Names) -> None:
        self._dataset = dataset
        self._names = names

    def __getattr__(self, name: str) -> Any:  # such as set_epoch, which shuffles anew
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)


class _NamedItems(_Named):
    """A dataset whose items carry their names."""

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        return self._names.add(self._dataset[index], self._number(index))

    def _number(self, index: int) -> int:
        return index if self._names.numbers is None else self._names.numbers[index]


class _NamedBatches(_NamedItems):
    """One that is asked for a batch at once, as those of ``datasets`` are: their transforms see the whole batch."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        items = self._dataset.__getitems__(indices)
        return [self._names.add(item, self._number(index)) for item, index in zip(items, indices, strict=True)]


class _NamedStream(_Named, IterableDataset[Any]):
    """A dataset without numbers whose items carry their names: they are counted, in each worker. Those that are
    excluded are left out, and told of by the item after them: a worker cannot tell in another way."""

    def __init__(self, dataset: Any, names: Names, exclusions: Exclusions) -> None:
        super().__init__(dataset, names)
        self._exclusions = exclusions

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        prefix = "" if worker is None or worker.num_workers == 1 else f"{worker.id}/"
        left_out: list[Name] = []
        for index, item in enumerate(self._dataset):
            named = self._names.add(item, f"{prefix}{index}")
            own: _Item | None = named[KEY] if named is not item else None
            if own is None:
                yield named
            elif own.names and all(self._exclusions.excludes(name.path) for name in own.names):
                left_out += own.names
            else:
                yield {**named, KEY: own._replace(left_out=tuple(left_out))}
                left_out.clear()


class _SizedStream(_NamedStream):
    def __len__(self) -> int:
        return len(self._dataset)


class Collator:
    """Collates as before, and hands the names on."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, features: list[Any]) -> Any:
        items = [feature.pop(KEY, None) if isinstance(feature, dict) else None for feature in features]
        batch = self._collate(features)
        if any(items) and isinstance(batch, MutableMapping):
            batch[KEY] = Batch(features, items, batch)  # and not in a copy: a BatchEncoding stays one
        return batch
