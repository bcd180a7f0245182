"""``loss-logging view --edit``: what a person decides, on a real server and in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import serious_violations
from command import loss_logging
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from served_files import RIGHT, WRONG, change, own
from view_server import Server
from waiting import wait_until
from watched import Watched

from loss_logging import LossLogger
from loss_logging.captions.decisions import DECISIONS_FILE, DecisionFile

pytestmark = pytest.mark.xdist_group("served")


# --- who may change something ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/passwd", "cats/../../secret.png", "cats/00.txt", "cats/no.png", "", "cats/00.png\0"]
)
def test_only_images_of_the_folder(refusing: Server, path: str) -> None:
    """Paths come from what was read, never from who asks."""
    assert change(refusing, path, "secret", "mine").status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"dataset": "cats"}', b"\xff", b'{"a": ' * 200_000], ids=range(6))
def test_nonsense_is_refused(refusing: Server, body: bytes) -> None:
    """With a sentence, not a crash."""
    answer = refusing.ask("/api/change", method="POST", body=body, sent=own(refusing))
    assert answer.status == 400, answer.text
    assert refusing.ask("/api/change", method="POST", body=b"x" * 3_000_000, sent=own(refusing)).status == 413


# --- what changes ---------------------------------------------------------------------------------------------------


def test_a_caption_is_saved_where_it_came_from(editing: Server, folder: Path) -> None:
    """The file holds the new caption, the decision is kept with the former one, and the page shows both."""
    assert change(editing, "cats/00.png", "nan", "a cat on a mat").status == 200
    assert (folder / "cats" / "00.txt").read_text() == "a cat on a mat"
    found = DecisionFile(folder / DECISIONS_FILE).of("cats/00.png")
    assert found is not None
    assert (found.decision, found.caption, found.before) == ("caption", "a cat on a mat", "nan")
    assert [row["caption"] for row in editing.items(search="00.png")["rows"]] == ["a cat on a mat"]
    assert [row["path"] for row in editing.items(decision="caption")["rows"]] == ["cats/00.png"]
    assert editing.items(decision="none")["total"] == 29


def test_two_windows_lose_nothing(editing: Server, folder: Path) -> None:
    """Who saves over what somebody else has changed since, here or on disk, is told, and nothing is overwritten."""
    assert change(editing, "cats/00.png", "nan", "the first window's").status == 200
    answer = change(editing, "cats/00.png", "nan", "the second window's")
    assert answer.status == 409
    assert json.loads(answer.text)["state"]["caption"] == "the first window's"
    (folder / "cats" / "01.txt").write_text("changed in an editor")
    assert change(editing, "cats/01.png", "untitled", "mine").status == 409
    assert (folder / "cats" / "01.txt").read_text() == "changed in an editor"


@pytest.mark.long
def test_what_is_fine_is_gone_the_next_time(folder: Path) -> None:
    """Neither this page nor the next one asks again."""
    server = Server(folder, "--edit", "--no-pictures")
    assert len(server.json("/api/queue")["queue"]) == len(WRONG)
    assert change(server, "cats/00.png", "nan", "nan", "fine").status == 200
    assert change(server, "cats/01.png", "untitled", "untitled", "exclude").status == 200
    assert [row[2] for row in server.json("/api/queue")["decided"]] == ["fine", "exclude"]
    assert server.stop() == (0, "")
    again = Server(folder, "--no-pictures")
    assert len(again.json("/api/queue")["queue"]) == len(WRONG) - 2
    assert again.stop() == (0, "")


def test_a_run_is_edited_too(tmp_path: Path, folder: Path) -> None:
    """Its records name the images; the captions are written beside them."""
    paths = [str(folder / "cats" / f"{i:02}.png") for i in range(30)]
    with LossLogger(job_name="run", save_root=tmp_path / "run", loggers=[], reporter="inline") as losses:
        losses.log_batch(1, [0.5] * 30, paths=paths, datasets="cats", captions=[*WRONG, *RIGHT])
        losses.save_step(1).result()
    server = Server(tmp_path / "run", "--edit")
    server.until(lambda state: state["items"] is not None)
    assert change(server, paths[0], "nan", "a cat on a mat").status == 200
    assert (folder / "cats" / "00.txt").read_text() == "a cat on a mat"
    assert [row["decision"] for row in server.items(search="00.png")["rows"]] == ["caption"]
    assert server.stop() == (0, "")


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    yield tab
    tab.close()


@pytest.mark.browser
def test_captions_by_the_keyboard(editing: Server, folder: Path, page: Page) -> None:
    """From the page to four corrected captions in at most 10 keys beside what is typed; then undone, and done again."""
    watched = Watched(page)
    watched.open(editing.address)
    keys = 0

    def press(key: str) -> None:
        nonlocal keys
        keys += 1
        page.keyboard.press(key)

    press("j")
    expect(page.locator("#details")).to_be_visible()
    for i in range(4):
        press("e")
        expect(page.locator("textarea.edit")).to_be_visible()
        page.keyboard.type(f"corrected caption number {i}")
        press("Enter")
        expect(page.locator("#progress")).to_have_text(f"{i + 1} of 10 looked at")
    assert keys <= 10
    assert sum(path.read_text().startswith("corrected") for path in (folder / "cats").glob("*.txt")) == 4
    page.keyboard.press("u")
    expect(page.locator("#progress")).to_have_text("3 of 10 looked at")
    page.keyboard.press("u")
    expect(page.locator("#progress")).to_have_text("2 of 10 looked at")
    assert sum(path.read_text().startswith("corrected") for path in (folder / "cats").glob("*.txt")) == 2
    assert watched.problems == []


@pytest.mark.browser
def test_keys_that_come_before_the_page_is_ready_are_not_lost(editing: Server, page: Page) -> None:
    """j while the scripts still ask the server for what they need: the first item opens as soon as they have it."""
    watched = Watched(page)
    held: list[Route] = []
    pressed: list[str] = []
    page.route(re.compile("/api/(queue|items)"), lambda route: route.continue_() if pressed else held.append(route))
    page.goto(editing.address)
    expect(page.locator("#look")).to_be_visible()
    wait_until(lambda: page.wait_for_timeout(20) or held)  # it sees what the page asks for
    page.keyboard.press("j")
    pressed.append("j")
    assert page.locator("#details").is_hidden()
    for route in held:
        route.continue_()
    expect(page.locator("#details")).to_be_visible()
    assert watched.problems == []


@pytest.mark.browser
def test_fine_exclude_later_and_the_keys(editing: Server, folder: Path, page: Page) -> None:
    """Each by its key, shown on the page and kept in the file; the question mark lists the keys."""
    watched = Watched(page)
    watched.open(editing.address)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("j")
    expect(page.locator("#details")).to_be_visible()
    for i, key in enumerate("fxl", 1):
        page.keyboard.press(key)
        expect(page.locator("#progress")).to_have_text(f"{i} of 10 looked at")
    page.keyboard.press("Escape")
    for text in ("fine", "excluded", "for later"):
        expect(page.locator(".card .decision .chip", has_text=text).first).to_be_visible()
    decided = {one.decision for one in DecisionFile(folder / DECISIONS_FILE)}
    assert decided == {"fine", "exclude", "later"}
    page.select_option("#decision-filter", "exclude")
    expect(page.locator("#table .tabulator-row")).to_have_count(1)
    expect(page).to_have_url(re.compile("decision=exclude"))
    page.reload()
    expect(page.locator("#decision-filter")).to_have_value("exclude")
    expect(page.locator("#table .tabulator-row")).to_have_count(1)
    assert watched.problems == []


@pytest.mark.browser
def test_a_suggestion_is_accepted_by_one_key(folder: Path, page: Page) -> None:
    """What can be repaired without asking anyone is suggested, and one key takes it."""
    for path in (folder / "cats").glob("0*.txt"):
        path.write_text("a cat &amp; a dog sleep on a red chair")
    server = Server(folder, "--edit", "--no-pictures")
    watched = Watched(page)
    watched.open(server.address)
    page.keyboard.press("j")
    expect(page.locator("#details .suggestion")).to_contain_text("a cat & a dog sleep")
    page.keyboard.press("a")
    expect(page.locator("#progress")).to_contain_text("1 of ")
    texts = [path.read_text() for path in (folder / "cats").glob("0*.txt")]
    assert texts.count("a cat & a dog sleep on a red chair") == 1
    assert watched.problems == []
    assert server.stop() == (0, "")


@pytest.mark.browser
def test_a_folder_as_one_file(folder: Path, tmp_path: Path, page: Page) -> None:
    """check-captions --html: the same page without a server, which changes nothing."""
    out = tmp_path / "photos.html"
    assert loss_logging("check-captions", folder, "--html", out).returncode == 0
    watched = Watched(page)
    watched.open(out.as_uri())
    expect(page.locator(".card img").first).to_be_visible()
    expect(page.locator(".answer", has_text="10 captions flagged")).to_be_visible()
    expect(page.locator("#look")).to_have_count(0)
    page.fill("#search", "sleeps on a red chair")
    expect(page.locator("#table-status")).to_contain_text("20 items match")
    assert watched.problems == []


@pytest.mark.browser
def test_a_conflict_is_shown(editing: Server, folder: Path, page: Page) -> None:
    """What somebody else wrote in the meantime is shown, and what was typed stays to be saved again."""
    Watched(page).open(editing.address)
    page.keyboard.press("j")
    page.keyboard.press("e")
    expect(page.locator("textarea.edit")).to_be_visible()
    name = page.locator("#details-title").inner_text().replace(".png", ".txt")
    (folder / "cats" / name).write_text("written by somebody else")
    page.keyboard.type("mine")
    page.keyboard.press("Enter")
    expect(page.locator("#details .problem")).to_contain_text("written by somebody else")
    assert (folder / "cats" / name).read_text() == "written by somebody else"
    expect(page.locator("textarea.edit")).to_have_value("mine")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_have_text("1 of 10 looked at")
    assert (folder / "cats" / name).read_text() == "mine"


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 390)])
def test_axe_finds_no_serious_violation(editing: Server, browser: Browser, scheme: Any, width: int) -> None:
    """On the page of a folder and on an item that is edited."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    Watched(tab).open(editing.address)
    found = serious_violations(tab)
    tab.keyboard.press("j")
    expect(tab.locator("#details")).to_be_visible()
    tab.keyboard.press("e")
    expect(tab.locator("textarea.edit")).to_be_visible()
    found += serious_violations(tab, "#details")
    tab.close()
    assert found == []


def test_a_table_that_is_edited_again_and_again(tmp_path: Path) -> None:
    """Each caption of a JSONL table is written in its own row; what somebody else writes in between is a conflict."""
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(root / f"{i}.png")
    table = root / "metadata.jsonl"
    table.write_text("".join(json.dumps({"file_name": f"{i}.png", "text": "nan"}) + "\n" for i in range(4)))
    server = Server(root, "--edit", "--no-pictures")

    def save(name: str, seen: str, text: str) -> int:
        states = {"seen": {"caption": seen, "decision": ""}, "wanted": {"caption": text, "decision": "caption"}}
        body = json.dumps({"dataset": "photos", "path": name, **states}).encode()
        return server.ask("/api/change", method="POST", body=body, sent=own(server)).status

    assert [save(f"{i}.png", "nan", f"a new caption {i}") for i in (2, 0)] == [200, 200]
    rows = [json.loads(line)["text"] for line in table.read_text().splitlines()]
    assert rows == ["a new caption 0", "nan", "a new caption 2", "nan"]
    table.write_text(table.read_text().replace('"3.png", "text": "nan"', '"3.png", "text": "by somebody else"'))
    assert save("3.png", "nan", "mine") == 409
    assert save("1.png", "nan", "a new caption 1") == 200
    rows = [json.loads(line)["text"] for line in table.read_text().splitlines()]
    assert rows == ["a new caption 0", "a new caption 1", "a new caption 2", "by somebody else"]
    assert server.stop() == (0, "")
