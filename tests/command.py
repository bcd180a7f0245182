"""The command line as a user calls it, in this process: a new interpreter takes half a second to begin."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from loss_logging.cli import main


def loss_logging(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What the console script prints and exits with; whatever it leaves in the process is the next call's, too."""
    called = ["loss-logging", *map(str, arguments)]
    out, error = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors, write_through=True) for errors in ("strict", "backslashreplace")
    )
    with (
        patch.dict(os.environ, {"COLUMNS": "160"} | environment),
        patch.object(sys, "argv", called),
        patch("loss_logging.support.warn._seen", set()),
        _in_folder(cwd),
        redirect_stdout(out),
        redirect_stderr(error),
    ):
        code = _exit_code(error)
    return subprocess.CompletedProcess(called, code, _text(out), _text(error))


def _exit_code(error: io.TextIOWrapper) -> int:
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):  # what Python does with a sentence
            print(ended.code, file=error)
            return 1
        return ended.code or 0
    return 0


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode()


@contextmanager
def _in_folder(folder: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)
