"""Lists of what is to be left out of a training: a path a line, or decisions, in a file that a person names."""

from __future__ import annotations

import codecs
from pathlib import Path

from loss_logging.captions.decisions import DecisionFile
from loss_logging.errors import ConfigError

__all__ = ["listed_paths", "read_exclude_list"]

_DECISIONS = ".jsonl"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_exclude_list(file: Path, where: str = "exclude") -> list[str]:
    """The paths in a list, as they stand there, each once.

    A line is a path. Empty lines, and those that begin with ``#``, are none. It may be UTF-8 or UTF-16, with a byte
    order mark, and its lines may end as those of Windows do; bytes that are no UTF-8 stay what they are, as names of
    files may have them. In a file of decisions, whose name ends in ``.jsonl``, it is the images that are excluded, with
    the folder of the file before them.

    Args:
        file: the list.
        where: what names it, for errors.

    Raises:
        ConfigError: there is no such file, it cannot be read, or a ``.jsonl`` has no decision.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "exclude.txt")
        >>> _ = file.write_bytes(b"cats/1.png\\r\\n# blurred:\\r\\ncats/2.png\\r\\n")
        >>> read_exclude_list(file)
        ['cats/1.png', 'cats/2.png']
    """
    allowed = "allowed: a path a line, as `loss-logging export RUN --to exclude-list` writes, or a .jsonl of decisions"
    if file.is_dir():
        raise ConfigError(f"{where}: {file} is a folder; {allowed}. Decisions that lie beside images count without it")
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{where}: {file}: no such file, from {Path.cwd()}; {allowed}; or leave it out") from error
    except OSError as error:
        raise ConfigError(f"{where}: {file} cannot be read: {error.strerror}; {allowed}") from error
    if file.suffix.lower() == _DECISIONS:
        if data.strip() and b'"decision"' not in data:  # another table, each line of which would be warned about
            raise ConfigError(f"{where}: {file} has no line that is a decision; {allowed}")
        return [str(file.absolute().parent / one.path) for one in DecisionFile(file) if one.decision == "exclude"]
    return listed_paths(data)


def listed_paths(data: bytes) -> list[str]:
    r"""The paths in the bytes of a list, each once; bytes that are no text stay what they are.

    >>> listed_paths(b"\xef\xbb\xbfa.png\r\n# blurred:\r\n./#1.png\r\n")
    ['a.png', './#1.png']
    """
    lines = (line.removesuffix("\r") for line in _text(data).split("\n"))
    return list(dict.fromkeys(line for line in lines if line.strip() and not line.startswith("#")))


def _text(data: bytes) -> str:
    if data.startswith(_UTF_16):  # as PowerShell writes it
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
