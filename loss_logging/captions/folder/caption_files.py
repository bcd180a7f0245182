"""Captions in files of their own: text, or JSON of one image."""

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
    """Reads the caption files of one folder, which are probably all in the same encoding.

    Args:
        problems: takes what cannot be read.
    """

    def __init__(self, problems: FolderProblems) -> None:
        self._problems = problems
        self._decoder = TextDecoder()

    def text(self, path: str) -> str | None:
        """The text of a file, but for its last line end; None where it cannot be read."""
        text = self.whole(path)
        return None if text is None else text.removesuffix("\n").removesuffix("\r")

    def whole(self, path: str) -> str | None:
        """The text of a file; None where it cannot be read."""
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
            self._problems.add("too_large", path, f"is larger than {_MOST_READ:,} bytes, of which the first were read")
        if decoded.damaged:
            self._problems.add("undecodable", path, f"holds bytes that are no {decoded.encoding}")
        elif not decoded.plain:
            mark = " with a byte order mark" if decoded.marked else ""
            self._problems.add("not_utf8", path, f"is {decoded.encoding}{mark}, not plain UTF-8")
        return decoded.text

    def in_json(self, path: str) -> list[str]:
        """The captions of an image in a JSON file of its own, which may also hold anything else."""
        if (text := self.text(path)) is None:
            return []
        try:
            content = decode_json(text)
        except ValueError as error:
            self._problems.add("broken_line", path, f"no JSON: {error}")
            return []
        return captions_in(content)


def captions_in(content: Any) -> list[str]:
    """What the JSON of an image says as its caption, or as several; none where it is of another program.

    >>> captions_in({"rating": 5, "caption": "a cat"}), captions_in({"text": ["a cat", "a pet"]}), captions_in([1, 2])
    (['a cat'], ['a cat', 'a pet'], [])
    """
    values = [content.get(key) for key in CAPTION_KEYS] if isinstance(content, dict) else []
    lists = ([one for one in (v if isinstance(v, list) else [v]) if isinstance(one, str)] for v in values)
    return next(filter(None, lists), [])
