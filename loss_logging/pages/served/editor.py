"""Editor: what a person changes on the page, one item at a time."""

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
    """An item's caption on disk, None where it has none, and what was decided about it, "" where nothing was."""

    caption: str | None = None
    decision: Literal["", "fine", "exclude", "caption", "later"] = ""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the state that the page shows to the one that a person wants; undoing is the same the other way round."""

    dataset: str
    path: str
    seen: State
    wanted: State


class Kept(Protocol):
    """Where decisions are kept."""

    def of(self, dataset: str, path: str) -> str:
        """What was decided about an item; "" for nothing."""

    def keep(self, dataset: str, path: str, wanted: State, before: str | None) -> None:
        """Keep what is decided now; ``before`` is the caption that it had."""

    def all(self) -> Mapping[tuple[str, str], str]:
        """By dataset and path, everything that was decided."""


class Editor:
    """Changes captions where they came from, and keeps what was decided; one change after the other.

    Args:
        find: by dataset and path, an item with the place of its caption as it is on disk now.
        changed: is told of a caption that was written.
        writer_of: the writer for an item.
        decisions: keeps what was decided.
        suggested: what an item's caption should say, where something is known; "" for nothing.
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
        """What the page must know to let an item be edited; ``why`` says why its caption cannot be."""
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
        """Do what is wanted.

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
    """Names of other images that the caption file is of, too."""
    if not (file.source or "").lower().endswith((*TEXTS, ".json")) or file.line is not None:
        return []
    return [other.name for other in images_with(Path(file.path))]
