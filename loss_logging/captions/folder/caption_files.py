"""Caption files: text files, or JSON files of one image each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.tables import decode_json

__all__ = ["CAPTION_KEYS", "CaptionFiles", "captions_in"]

CAPTION_KEYS = ("caption", "text", "prompt")
_USUAL_SIZE, _MOST_READ = 8_192, 2**20  # bytes of a caption file


class CaptionFiles:
    """Reads the caption files of one folder; they probably have the same encoding.

    Args:
        problems: takes the problems with files.
    """

    def __init__(self, problems: FolderProblems) -> None:
        self._problems = problems
        self._decoder = TextDecoder()

    def text(self, path: str) -> str | None:
        """The text of a file without its last line end; None if it cannot be read."""
        text = self.whole(path)
        return None if text is None else text.removesuffix("\n").removesuffix("\r")

    def whole(self, path: str) -> str | None:
        """The text of a file; None if it cannot be read."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(_USUAL_SIZE)
                if len(data) == _USUAL_SIZE:
                    data += file.read(_MOST_READ - _USUAL_SIZE)
                cut = len(data) == _MOST_READ and bool(file.read(1))
            decoded = self._decoder.decode(data, cut=cut)
        except OSError as error:
            self._problems.add("unreadable", path, error.strerror or str(error))
            return None
        except BinaryDataError:
            self._problems.add("binary", path, "holds no text")
            return None
        if cut:
            self._problems.add("too_large", path, f"is larger than {_MOST_READ:,} bytes; only its start was read")
        if decoded.damaged:
            self._problems.add("undecodable", path, f"holds bytes that are not valid {decoded.encoding}")
        elif not decoded.plain:
            mark = " with a byte order mark" if decoded.marked else ""
            self._problems.add("not_utf8", path, f"is {decoded.encoding}{mark}, not plain UTF-8")
        return decoded.text

    def in_json(self, path: str) -> list[str]:
        """The captions of an image in its own JSON file; empty for JSON of another kind."""
        if (text := self.text(path)) is None:
            return []
        try:
            content = decode_json(text)
        except ValueError as error:
            self._problems.add("broken_line", path, f"is not valid JSON: {error}")
            return []
        return captions_in(content)


def captions_in(content: Any) -> list[str]:
    """The captions in the JSON of an image; empty for JSON of another kind.

    >>> captions_in({"rating": 5, "caption": "a cat"}), captions_in({"text": ["a cat", "a pet"]}), captions_in([1, 2])
    (['a cat'], ['a cat', 'a pet'], [])
    """
    values = [content.get(key) for key in CAPTION_KEYS] if isinstance(content, dict) else []
    lists = ([one for one in (v if isinstance(v, list) else [v]) if isinstance(one, str)] for v in values)
    return next(filter(None, lists), [])
