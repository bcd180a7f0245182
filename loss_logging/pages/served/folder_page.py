"""FolderPage: the gallery of a captioned folder, without any training."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.caption_files import CaptionFiles
from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.image_suffixes import TEXTS
from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.pages.content import severities_of
from loss_logging.pages.folder_content import flagged_items, ordered
from loss_logging.pages.folder_file import FolderSeen
from loss_logging.pages.render import render_folder
from loss_logging.pages.served.editor import Editor
from loss_logging.pages.served.item_query import (
    Filter,
    ItemQuery,
    columns_in,
    matching,
    page_of,
    rows_of,
    undecided,
    with_marks,
)
from loss_logging.pages.served.kept_decisions import KeptDecisions
from loss_logging.pages.served.run_captions import RunCaptions
from loss_logging.pages.served.served_page import Picture

__all__ = ["open_folder"]


def open_folder(
    folder: Path, config: CaptionConfig, *, pictures: bool | None, edit: bool
) -> tuple[str, FolderPage, Editor | None]:
    """The page of a folder or a table of captions, with its name and its editor; None for the editor without ``edit``.

    Args:
        folder: the folder or table.
        config: the settings of the rules, and the trainer.
        pictures: whether to compare captions with their images; None does so if the extra for it is installed.
        edit: whether captions may be changed.
    """
    seen = FolderSeen.of(folder, config, pictures=pictures)
    page = FolderPage(seen)
    decisions = KeptDecisions(Decisions(seen.root, home=seen.root), page.items)
    page.items.decided, page.items.decision_of = decisions.all, decisions.of
    if not edit:
        return seen.name, page, None
    captions = FolderCaptions(seen)

    def changed(dataset: str, path: str, file: CaptionedFile) -> None:
        page.items.change(dataset, path, file)
        captions.wrote(dataset, path, file)

    editor = Editor(captions.find, changed, captions.writer_of, decisions, page.items.suggested)
    return seen.name, page, editor


class FolderPage:
    """The page that the server shows of a folder.

    Args:
        seen: the findings in the folder.
    """

    def __init__(self, seen: FolderSeen) -> None:
        self._seen = seen
        self.items = FolderItems(seen)

    def __enter__(self) -> FolderPage:
        return self

    def __exit__(self, *_: object) -> None:
        self.items.close()

    def html(self, picture: Picture, *, editable: bool) -> str:
        """The page as text."""
        return render_folder(self._seen.sections(picture), {}, served=True, editable=editable)

    def parts(self, _picture: Picture, _step: int | None) -> dict[str, Any]:
        """No parts, as a folder has no save steps."""
        return {"parts": {}, "note": None}

    def charts(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def rules(self, _step: int | None) -> Mapping[str, str]:
        """The severity of each rule that objects to a caption."""
        return severities_of(self._seen.check.captions.flagged)

    def history(self, _dataset: str, _path: str) -> dict[str, Any] | None:
        """Nobody has trained on it."""
        return None

    def queue(self) -> list[tuple[str, str]]:
        """The flagged captions, highest severity first."""
        return [(flag.dataset, flag.path) for flag in ordered(self._seen.check.captions.flagged)]


class FolderItems:
    """The images of a folder, for the page's table."""

    def __init__(self, seen: FolderSeen) -> None:
        self._seen = seen
        self._flagged = flagged_items(seen.check)
        self._connection = duckdb.connect()
        self._connection.from_arrow(seen.table).create("items")
        self._paths = set(seen.files)
        self._lock = threading.Lock()
        self.decided: Any = dict
        self.decision_of: Any = undecided

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()

    def page(self, asked: ItemQuery, _step: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """The rows of one page, and the number of all matching items."""
        with self._lock:
            where, values = matching(asked, columns_in(self._connection, "items"), self._flagged, self.decided)
            rows, total = page_of(self._connection, "items", asked, where, values)
        return [with_marks(row, self._flagged, self.decision_of) for row in rows], total

    def batches(self, asked: Filter, _step: int | None = None) -> Iterator[pa.RecordBatch]:
        """Every item that matches."""
        with self._lock:
            where, values = matching(asked, columns_in(self._connection, "items"), self._flagged, self.decided)
            found = self._connection.sql(f"SELECT * FROM items WHERE {where}", params=values).to_arrow_table()
        yield from found.to_batches(8_192)

    def columns(self, _step: int | None = None) -> pa.Schema:
        """The columns of the table."""
        return self._seen.table.schema

    def datasets(self, most: int) -> list[str]:
        """Names of at most ``most`` datasets."""
        return sorted(self._seen.check.captions.datasets)[:most]

    def item(self, dataset: str, path: str, _step: int | None = None) -> dict[str, Any] | None:
        """One row."""
        with self._lock:
            rows = rows_of(self._connection, "FROM items WHERE dataset = ? AND path = ?", [dataset, path])
        return with_marks(rows[0], self._flagged, self.decision_of) if rows else None

    def names(self, path: str) -> bool:
        """Whether the folder has an image of this path."""
        return path in self._paths

    def sign(self) -> dict[str, Any]:
        """Nothing goes on here."""
        return {"busy": "", "problem": "", "step": -1, "report_step": -1, "version": 0, "age": 0.0, "live": False}

    def folders(self) -> list[str]:
        """The folders of the images."""
        return sorted({path.rpartition("/")[0] for path in self._paths})

    def with_paths(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Dataset and path of the images with one of these paths."""
        return [(self._seen.files[path].dataset, path) for path in paths if path in self._paths]

    def suggested(self, dataset: str, path: str) -> str:
        """A better caption; "" if unknown."""
        return self._seen.suggestions.get((dataset, path), "")

    def change(self, dataset: str, path: str, file: CaptionedFile) -> None:
        """Show a new caption after it was written."""
        with self._lock:
            names = [file.caption or "", dataset, path]
            self._connection.execute("UPDATE items SET caption = ? WHERE dataset = ? AND path = ?", names)


class FolderCaptions:
    """Finds and writes the captions of a folder."""

    def __init__(self, seen: FolderSeen) -> None:
        self._captions = RunCaptions(seen.root)
        self._files = seen.files
        self._writer = CaptionWriter(seen.root)

    def find(self, dataset: str, path: str) -> CaptionedFile:
        """The image with its present caption on disk.

        Raises:
            NotWrittenError: it is no image of the folder, or its caption cannot be edited; the message gives the
                reason.
        """
        if path not in self._files:
            raise NotWrittenError(f"{path} is no image of this folder")
        read, found = self._files[path], self._captions.find(dataset, path)
        source = read.source or ""
        if source != found.source and source.lower().endswith(TEXTS) and Path(source).is_file():
            # Of several files beside an image, the one that the trainer reads.
            return CaptionedFile(found.path, dataset, CaptionFiles(FolderProblems()).text(source), source)
        return found

    def wrote(self, dataset: str, path: str, file: CaptionedFile) -> None:
        """A caption was written."""
        self._captions.wrote(dataset, path, file)

    def writer_of(self, _file: CaptionedFile) -> CaptionWriter:
        """The writer for the caption of an item."""
        return self._writer
