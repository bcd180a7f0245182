"""``loss-logging view``: a real server in a process of its own, asked directly and in a real browser."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from view_server import Server
from waiting import wait_until
from watched import Watched

from loss_logging import LossLogger, read_report

pytestmark = pytest.mark.xdist_group("served")  # whose server is started once

ROWS = "#table .tabulator-row"


# --- who may ask -----------------------------------------------------------------------------------------------------


def test_only_with_the_token(server: Server) -> None:
    """Without the token nothing is answered, whatever is asked for."""
    for path in ("/", "/api/items", "/api/state", "/image?path=x", "/items.csv", "/nothing"):
        for cookie in ("", "guess", "ünicode"):
            answer = server.ask(path, cookie=quote(cookie))
            assert (answer.status, b"job" in answer.body) == (403, False)
    assert server.ask("/?token=wrong", cookie="").status == 403
    answer = server.ask(f"/?token={server.token}", cookie="")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "samesite=strict" in answer.headers["Set-Cookie"].lower()


def test_only_by_its_own_name(server: Server) -> None:
    """A site whose name was made to point here is refused, even with the token."""
    assert server.ask("/", host="evil.example").status == 400
    assert server.ask("/", host=f"localhost:{server.port}", cookie="").status == 403


def test_only_on_this_machine(server: Server) -> None:
    """Nothing listens on the machine's other addresses."""
    (address,) = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} or {""}
    if str(address).startswith("127."):
        address = "127.0.0.2"
    with socket.socket() as client:
        client.settimeout(2)
        assert client.connect_ex((str(address), server.port)) != 0


def test_only_reading(server: Server) -> None:
    """Other methods are not there, and answers may be kept or framed by nobody."""
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Content-Type": "application/json"}
    assert server.ask("/api/items", method="POST").status == 403
    assert server.ask("/api/items", method="POST", body=b"{}", sent=own).status == 405
    headers = server.ask("/").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


# --- what is answered ------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_report(server: Server, example: Path) -> None:
    """Every item, page by page, has the figures that the report's JSON has."""
    report = read_report(example / "loss_logging" / "job_000000030.json")
    found = {}
    for page in (1, 2, 3):
        answer = server.items(sort=[{"field": "hard", "descending": True}], page=page, size=50)
        assert answer["total"] == 120
        found |= {(row["dataset"], row["path"]): row for row in answer["rows"]}
    assert len(found) == 120
    for (dataset, path), row in found.items():
        stats = report.datasets[dataset].item_stats[path]
        for name in ("count", "average_loss", "std_loss", "hard", "caption_mismatch", "non_finite"):
            value = getattr(stats, name)
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9)), name
    order = [row["hard"] for row in found.values()]
    assert order == sorted(order, reverse=True)


def test_history_and_item(server: Server) -> None:
    """All records of an item, and its figures; None for what is not there."""
    row = server.items(size=1)["rows"][0]
    item = {"dataset": row["dataset"], "path": row["path"]}
    history = server.json("/api/history", **item)
    assert [record[0] for record in history["records"]] == list(range(1, 31))
    losses = [record[2] for record in history["records"]]
    assert np.mean(losses) == pytest.approx(server.json("/api/item", **item)["average_loss"], rel=1e-3)
    assert server.json("/api/history", dataset="no", path="no") is None
    assert server.json("/api/item", dataset="no", path="no") is None


def test_pictures(server: Server, example: Path) -> None:
    """Only files that records name are opened, and only those that are pictures are shown."""
    good = str(example / "images" / "0000.png")
    answer = server.ask("/image", path=good)
    assert (answer.status, answer.body[8:12]) == (200, b"WEBP")
    (example.parent / "other.png").write_bytes((example / "images" / "0000.png").read_bytes())
    for path, words in (
        (str(example.parent / "other.png"), "no record names this file"),
        ("/etc/passwd", "no record names this file"),
        (str(example / "images" / "0001.png"), "not found: looked for"),
        ("../outside.png", "outside the current folder"),
        ("https://example.org/a.png", "not a file on this machine"),
    ):
        answer = server.ask("/image", path=path)
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert words in answer.text


def test_downloads(server: Server) -> None:
    """Everything that matches as CSV, without formulas, or as paths."""
    text = server.ask("/items.csv", q=json.dumps({"search": "=cmd"})).text
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["path"], row["count"]) == ("'=cmd()", "30")
    answer = server.ask("/exclude.txt", q=json.dumps({"dataset": "cats"}))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="exclude.txt"'
    assert len(answer.text.splitlines()) == 40


# --- in the browser --------------------------------------------------------------------------------------------------


def test_the_page(server: Server, watched: Watched) -> None:
    """The page that the file is, with every item's history and picture behind it; the token leaves the address."""
    tab = watched.open(server.address)
    assert urlsplit(tab.url).query == ""
    expect(tab.locator("#table-status")).to_contain_text("120 items match")
    assert tab.locator(".chart canvas").count() == 3
    tab.fill("#search", "number 77")
    expect(tab.locator("#table-status")).to_contain_text("1 item matches")
    expect(tab.locator(ROWS)).to_have_count(1)  # what is drawn follows what is said
    tab.locator(f"{ROWS} button.open").evaluate("button => button.click()")  # which no redraw can cut in two
    expect(tab.locator("#details .history")).to_contain_text("30 records.")
    expect(tab.locator("#details img.large")).to_be_visible()
    tab.keyboard.press("Escape")
    with tab.expect_download() as download:
        tab.click("#download-list")
    assert download.value.path().read_text("utf-8").count("\n") == 1


def test_hostile_texts_are_inert(server: Server, watched: Watched) -> None:
    """What the file's page shows as text, this one does, too; missing pictures say why."""
    tab = watched.open(server.address)
    for search in ("<script>", "</script>", "onload", "evil", "word word"):
        tab.fill("#search", search)
        expect(tab.locator("#table-status")).to_contain_text(re.compile(r"^[1-3] items? match"))
    assert tab.evaluate("window.hacked") is None
    expect(tab.locator("#hard")).to_contain_text("not found: looked for")
    assert tab.locator("script").count() == 7


# --- live ------------------------------------------------------------------------------------------------------------


def test_live_while_training_writes(tmp_path: Path, watched: Watched) -> None:
    """Before the first record, at the first records, at the first save step and after it, without a reload."""
    options = {
        "job_name": "live",
        "save_root": tmp_path,
        "loggers": [],
        "timeouts": {"flush": 0.1},
        "reporter": "inline",
    }
    with LossLogger(**options) as losses:

        def batch(step: int, paths: list[str]) -> None:
            n = len(paths)
            captions = ["a cat on a sofa"] * n
            losses.log_batch(step, np.linspace(1, 2, n), paths=paths, datasets="cats", captions=captions)

        batch(1, ["a.png", "b.png"])
        wait_until(lambda: [*tmp_path.glob("loss_logging/records/live/rank*.parquet")])
        server = Server(tmp_path, eager=True)
        try:
            server.until(lambda state: state["items"] == 2)
            tab = watched.open(server.address, eager=True)
            expect(tab.locator("#overview")).to_contain_text("No save step yet")
            expect(tab.locator("#table-status")).to_contain_text("2 items match. Records up to step 1")
            batch(2, ["a.png", "c.png"])
            expect(tab.locator("#table-status")).to_contain_text("3 items match. Records up to step 2")
            losses.save_step(2).result(60)
            expect(tab.locator("#overview")).to_contain_text("Save step 2")
            expect(tab.locator("#hard")).to_contain_text("a.png")
            losses.close()
        finally:
            watched.page.goto("about:blank")  # it asks no more
            assert server.stop() == (0, "")


def test_all_figures_are_of_one_moment(tmp_path: Path, watched: Watched) -> None:
    """After a save step more comes: card, table and dialog say the same of an item, and the head says of which step."""
    options = {
        "job_name": "live",
        "save_root": tmp_path,
        "loggers": [],
        "timeouts": {"flush": 0.1},
        "reporter": "inline",
    }
    with LossLogger(**options) as losses:

        def batch(step: int, worst: float) -> None:
            values = np.append(np.linspace(0.1, 0.2, 30), worst)
            names = [f"{i}.png" for i in range(31)]
            captions = ["a cat on a sofa"] * 31
            losses.log_batch(step, values, paths=names, datasets="cats", captions=captions)

        batch(1, 4.0)
        losses.save_step(1).result(60)
        server = Server(tmp_path, eager=True)
        try:
            tab = watched.open(server.address, eager=True)
            expect(tab.locator("#hard .card").first).to_contain_text("30.png")
            expect(tab.locator("#live")).to_contain_text("live · step 1")
            batch(2, 4.0)
            expect(tab.locator("#live")).to_contain_text("step 2")
            expect(tab.locator("#hard .card .figures").first).to_contain_text("records 2")
            expect(tab.locator(".sub")).to_contain_text(
                "Step 2; flags, histograms and the losses of datasets are those of save step 1"
            )
            expect(tab.locator("#datasets .note")).to_have_text(
                '"Against the others" is of step 2, the other columns are of save step 1.'
            )
            card = tab.locator("#hard .card").first
            score = card.locator(".figures b").inner_text()
            expect(tab.locator(f'{ROWS} [tabulator-field="hard"]').first).to_have_text(score)
            card.locator("button").click()
            expect(tab.locator("#details .figures-list")).to_contain_text(score)
            tab.keyboard.press("Escape")
            losses.save_step(2).result(60)
            tab.locator("#step option[value='1']").wait_for(state="attached")
            tab.select_option("#step", "1")
            expect(tab.locator(".sub")).to_contain_text("Save step 1,")
            expect(tab.locator("#datasets .note")).to_have_count(0)
            expect(tab.locator("#hard .card .figures").first).to_contain_text("records 1")
            losses.close()
            expect(tab.locator("#live")).to_contain_text("not running")
        finally:
            watched.page.goto("about:blank")  # it asks no more
            assert server.stop() == (0, "")


# --- called wrongly --------------------------------------------------------------------------------------------------


def test_pictures_are_where_the_run_says(tmp_path: Path) -> None:
    """Relative paths start from the run's own folder of images, and no file outside it is opened."""
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8), "red").save(images / "0.png")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "1.png")
    outside = str(tmp_path / "1.png")
    with LossLogger(job_name="run", save_root=tmp_path / "run", loggers=[], reporter="inline", images=images) as losses:
        losses.log_batch(1, [0.5, 0.5], paths=["0.png", outside], datasets="d", captions=["a wall"] * 2)
        losses.save_step(1).result()
    server = Server(tmp_path / "run")
    assert server.ask("/image", path="0.png").headers["Content-Type"] == "image/webp"
    assert server.ask("/image", path=outside).text.endswith("images: not opened")
    server.stop()
