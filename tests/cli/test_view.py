from __future__ import annotations

import socket
from pathlib import Path

import pytest
from command import loss_logging


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([".", "--memory-limit", "much"], "memory_limit"),
        ([".", "--port", "PORT"], "cannot be used"),
    ],
)
def test_what_is_wrong_is_said(options: list[str], words: str, example: Path) -> None:
    """A folder that is not there, an impossible size, a port that is taken: one sentence, exit status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = [option.replace("PORT", str(taken.getsockname()[1])) for option in options]
        done = loss_logging("view", *arguments, cwd=example)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
