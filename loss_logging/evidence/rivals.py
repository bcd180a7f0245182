"""Rivals: for each item the other captions of the set that its picture fits best, to compare its own caption with.

What the pictures say of the items' own captions is found on the way, and goes with them.

`loss_logging.evidence.find_rivals` finds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.errors import LossLoggingError
from loss_logging.evidence.seen import SCHEMA, SeenCaptions
from loss_logging.support.chance import hash_of
from loss_logging.support.files import whole_file

__all__ = ["Rivals"]

_RIVALS = pa.schema({"dataset": pa.string(), "path": pa.string(), "rivals": pa.list_(pa.string())})
_MARK = {b"loss_logging": b"rivals/1"}


class Rivals:
    """The captions to compare each item's own with, the best fitting first; none where none is known.

    Args:
        captions: by dataset and path.
        reason: why there are none; "" where there are.
        seen: what the pictures say of the items' own captions.

    Example:
        >>> rivals = Rivals({("cats", "1.png"): ("a dog", "a bird")})
        >>> rivals.of("1.png"), rivals.of("1.png", "cats"), rivals.of("2.png")
        (('a dog', 'a bird'), ('a dog', 'a bird'), ())
    """

    def __init__(
        self,
        captions: Mapping[tuple[str, str], tuple[str, ...]],
        reason: str = "",
        seen: SeenCaptions | None = None,
    ) -> None:
        self._by_item = dict(captions)
        self._by_path = {path: found for (_, path), found in self._by_item.items()}
        self.reason = reason
        self.seen = seen or SeenCaptions()

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
        names = [[dataset for dataset, _ in self._by_item], [path for _, path in self._by_item]]
        columns = [pa.array(column, pa.string()) for column in names]
        captions = pa.array([list(found) for found in self._by_item.values()], _RIVALS.field("rivals").type)
        rivals = pa.Table.from_arrays([*columns, captions], schema=_RIVALS)
        table = pa.concat_tables([rivals, self.seen.captions], promote_options="default")
        about = {"share": float(self.seen.share), "reason": self.seen.reason}
        with whole_file(Path(path)) as file:
            pq.write_table(table.replace_schema_metadata(_MARK | {"seen": msgspec.json.encode(about)}), file)

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
        about = table.schema.metadata or {}
        if not _MARK.items() <= about.items():
            raise LossLoggingError(f"{path} holds no rivals; allowed: a file that Rivals.save() has written")
        rivals = table.filter(table["rivals"].is_valid())
        rows = zip(*(rivals[name].to_pylist() for name in _RIVALS.names), strict=True)
        seen = SeenCaptions()
        if b"seen" in about:  # older files have none
            said = msgspec.json.decode(about[b"seen"])
            known = table.filter(table["caption"].is_valid())
            held = known.select([name for name in SCHEMA.names if name in known.column_names])
            seen = SeenCaptions(pa.concat_tables([held, SCHEMA.empty_table()], promote_options="default"), **said)
        return cls({(dataset, path): tuple(found) for dataset, path, found in rows}, seen=seen)
