from __future__ import annotations

from pathlib import Path

import pytest
from served_files import change, files, own
from view_server import Server

pytestmark = pytest.mark.xdist_group("served")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "evil.example"}, 400),
        ({"Cookie": "loss_logging=guess"}, 403),
    ],
    ids=str,
)
def test_another_site_changes_nothing(refusing: Server, untouched: Path, sent: dict[str, str], status: int) -> None:
    """A form, a script or a name of another site, whatever cookies its browser adds."""
    before = files(untouched)
    answer = change(refusing, "cats/00.png", "nan", "a new caption", **sent)
    assert answer.status == status, answer.text
    assert files(untouched) == before


def test_reading_changes_nothing(refusing: Server, untouched: Path) -> None:
    """No address that can be linked to changes anything, and neither do other methods."""
    before = files(untouched)
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        assert refusing.ask("/api/change", method=method, sent=own(refusing)).status in (403, 404, 405, 413)
    assert files(untouched) == before


def test_without_edit_nothing_changes(folder: Path) -> None:
    """The page only shows, and says how to change something."""
    server = Server(folder, "--no-pictures")
    before = files(folder)
    answer = change(server, "cats/00.png", "nan", "a new caption")
    assert (answer.status, "--edit" in answer.text) == (403, True)
    assert files(folder) == before
    assert server.stop() == (0, "")
