"""Editor: a person's changes on the page, one item at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from loss_logging.captions.fix import fixed
from loss_logging.captions.folder.caption_places import images_with
from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.image_suffixes import TEXTS
from loss_logging.captions.folder.kept_files import ConflictError, NotWrittenError

__all__ = ["Change", "Editor", "State"]


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item's caption on disk, None if it has none, and the decision about it, "" if there is none."""

    caption: str | None = None
    decision: Literal["", "fine", "exclude", "caption", "later"] = ""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change from the state that the page shows to the wanted state; undoing swaps the two."""

    dataset: str
    path: str
    seen: State
    wanted: State


class Kept(Protocol):
    """Where decisions are kept."""

    def of(self, dataset: str, path: str) -> str:
        """The decision about an item; "" if there is none."""

    def keep(self, dataset: str, path: str, wanted: State, before: str | None) -> None:
        """Store a decision; ``before`` is the earlier caption."""

    def all(self) -> Mapping[tuple[str, str], str]:
        """All decisions, by dataset and path."""


class Editor:
    """Writes captions to the files they came from, and stores decisions; it makes one change at a time.

    Args:
        find: function from dataset and path to the item with its present caption on disk.
        changed: function that is called after a caption was written.
        writer_of: function from an item to the writer of its caption.
        decisions: the store of decisions.
        suggested: function from dataset and path to a better caption; "" if unknown.
    """

    def __init__(
        self,
        find: Callable[[str, str], CaptionedFile],
        changed: Callable[[str, str, CaptionedFile], object],
        writer_of: Callable[[CaptionedFile], CaptionWriter],
        decisions: Kept,
        suggested: Callable[[str, str], str],
    ) -> None:
        self._find = find
        self._changed = changed
        self._writer_of = writer_of
        self._suggested = suggested
        self.decisions = decisions
        self._one_at_a_time = threading.Lock()

    def about(self, dataset: str, path: str) -> dict[str, Any]:
        """The data that the page needs to edit an item; ``why`` is the reason if its caption cannot be edited."""
        file, why = self._file(dataset, path)
        caption = (file.caption if file else None) or ""
        repaired = fixed(caption)
        return {
            "state": self._state(dataset, path, file),
            "why": why,
            "source": file.source if file else None,
            "suggestion": "" if why else self._suggested(dataset, path) or (repaired if repaired != caption else ""),
            "shared": _shared(file) if file else [],
        }

    def change(self, asked: Change) -> dict[str, Any]:
        """Make a change.

        Raises:
            ConflictError: the item is no longer in the state that the page shows; nothing was changed.
            NotWrittenError: the caption cannot be written; nothing was changed.
        """
        with self._one_at_a_time:
            file, why = self._file(asked.dataset, asked.path)
            state = self._state(asked.dataset, asked.path, file)
            if state != asked.seen:
                raise ConflictError("It was changed by somebody else since it was shown here.")
            wanted = asked.wanted
            if wanted.caption != state.caption:
                if file is None:
                    raise NotWrittenError(why)
                source = self._writer_of(file).write(file, wanted.caption)
                file = msgspec.structs.replace(file, caption=wanted.caption, source=source and str(source))
                self._changed(asked.dataset, asked.path, file)
            try:
                self.decisions.keep(asked.dataset, asked.path, wanted, state.caption)
            except OSError as error:
                saved = "The caption is saved, but what" if wanted.caption != state.caption else "What"
                raise NotWrittenError(f"{saved} was decided cannot be kept: {error.strerror or error}.") from error
            return {"state": self._state(asked.dataset, asked.path, file), "source": file.source if file else None}

    def _file(self, dataset: str, path: str) -> tuple[CaptionedFile | None, str]:
        try:
            return self._find(dataset, path), ""
        except NotWrittenError as error:
            return None, str(error)

    def _state(self, dataset: str, path: str, file: CaptionedFile | None) -> State:
        return State(file.caption if file else None, self.decisions.of(dataset, path))  # type: ignore[arg-type]


def _shared(file: CaptionedFile) -> list[str]:
    """Names of other images with the same caption file."""
    if not (file.source or "").lower().endswith((*TEXTS, ".json")) or file.line is not None:
        return []
    return [other.name for other in images_with(Path(file.path))]
