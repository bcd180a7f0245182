from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_files import contents, files, photos
from view_server import Server


@pytest.fixture(scope="module")
def server(example: Path) -> Iterator[Server]:
    """The example's server, with its items read. It must say nothing on standard error, and end when it is told to."""
    before = contents(example)
    running = Server(example)
    running.until(lambda state: state["items"] is not None)
    yield running
    assert running.stop() == (0, "")
    assert contents(example) == before, "view only reads"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return photos(tmp_path / "photos")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nobody may change, with a file beside it."""
    root = tmp_path_factory.mktemp("untouched")
    (root / "secret.txt").write_text("secret")
    return photos(root / "photos")


@pytest.fixture(scope="module")
def refusing(untouched: Path) -> Iterator[Server]:
    """A server that may edit, asked by those who may not; at the end nothing has changed."""
    before = files(untouched.parent)
    server = Server(untouched, "--edit", "--no-pictures")
    yield server
    assert server.stop() == (0, "")
    assert files(untouched.parent) == before


@pytest.fixture
def editing(folder: Path) -> Iterator[Server]:
    server = Server(folder, "--edit", "--no-pictures")
    yield server
    assert server.stop() == (0, "")
