"""Rivals: for each item the other captions of the set that its picture fits best, to compare its own caption with.

`loss_logging.evidence.find_rivals` finds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.errors import LossLoggingError
from loss_logging.support.chance import hash_of
from loss_logging.support.files import whole_file

__all__ = ["Rivals"]

_SCHEMA = pa.schema(
    [("dataset", pa.string()), ("path", pa.string()), ("rivals", pa.list_(pa.string()))],
    metadata={"loss_logging": "rivals/1"},
)


class Rivals:
    """The captions to compare each item's own with, the best fitting first; none where none is known.

    Args:
        captions: by dataset and path.
        reason: why there are none; "" where there are.

    Example:
        >>> rivals = Rivals({("cats", "1.png"): ("a dog", "a bird")})
        >>> rivals.of("1.png"), rivals.of("1.png", "cats"), rivals.of("2.png")
        (('a dog', 'a bird'), ('a dog', 'a bird'), ())
    """

    def __init__(self, captions: Mapping[tuple[str, str], tuple[str, ...]], reason: str = "") -> None:
        self._by_item = dict(captions)
        self._by_path = {path: found for (_, path), found in self._by_item.items()}
        self.reason = reason

    def __len__(self) -> int:
        return len(self._by_item)

    def of(self, path: object, dataset: object = "") -> tuple[str, ...]:
        """The captions of an item's rivals; by its path alone where the dataset is not known."""
        path = str(path)
        found = self._by_item.get((str(dataset), path)) or self._by_path.get(path)
        if found is None and self._by_path:
            found = self._by_path.get(str(Path(path).absolute()))  # as `rivals_of_folder` has it
        return found or ()

    @property
    def digest(self) -> int:
        """A number that other rivals do not have."""
        return hash_of(*sorted(self._by_item.items()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them as Parquet, for `Rivals.load` and the key ``rivals`` of a TrainConfig."""
        columns = [
            pa.array([dataset for dataset, _ in self._by_item], pa.string()),
            pa.array([path for _, path in self._by_item], pa.string()),
            pa.array([list(found) for found in self._by_item.values()], _SCHEMA.field("rivals").type),
        ]
        with whole_file(Path(path)) as file:
            pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), file)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Rivals:
        """Read what `save` wrote.

        Raises:
            LossLoggingError: the file is another.
            OSError: it cannot be read.
        """
        try:
            with Path(path).open("rb") as file:
                table = pq.read_table(file)
        except pa.ArrowException as error:
            raise LossLoggingError(f"{path} holds no rivals: {error}") from error
        if (table.schema.metadata or {}).get(b"loss_logging") != _SCHEMA.metadata[b"loss_logging"]:
            raise LossLoggingError(f"{path} holds no rivals; allowed: a file that Rivals.save() has written")
        rows = zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True)
        return cls({(dataset, path): tuple(found) for dataset, path, found in rows})
