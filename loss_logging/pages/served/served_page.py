"""ServedPage: the interface between the server and its page, the same for a run and a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa

from loss_logging.pages.served.item_query import Filter, ItemQuery
from loss_logging.support.thumbnails import Thumbnail

__all__ = ["Items", "Picture", "ServedPage"]

Picture = Callable[[str], Thumbnail]


class Items(Protocol):
    """The table of items; see `loss_logging.pages.served.live.LiveRun`."""

    def page(self, asked: ItemQuery, step: int | None = None, /) -> tuple[list[dict[str, Any]], int]: ...
    def batches(self, asked: Filter, step: int | None = None, /) -> Iterator[pa.RecordBatch]: ...
    def columns(self, step: int | None = None, /) -> pa.Schema: ...
    def datasets(self, most: int) -> list[str]: ...
    def item(self, dataset: str, path: str, step: int | None = None, /) -> dict[str, Any] | None: ...
    def names(self, path: str) -> bool: ...
    def sign(self) -> dict[str, Any]: ...


class ServedPage(AbstractContextManager[Any], Protocol):
    """A page: its text, the parts of it that change, and its items."""

    @property
    def items(self) -> Items:
        """What its table shows."""

    def html(self, picture: Picture, *, editable: bool) -> str:
        """The page as text."""

    def parts(self, picture: Picture, step: int | None) -> dict[str, Any]:
        """The parts that change with the save step."""

    def charts(self) -> dict[str, Any]:
        """The series of its charts."""

    def rules(self, step: int | None) -> Mapping[str, str]:
        """The severity of each rule that objects to a caption."""

    def history(self, dataset: str, path: str) -> dict[str, Any] | None:
        """The records of an item."""

    def queue(self) -> list[tuple[str, str]]:
        """Dataset and path of the items to look at, highest severity first."""
