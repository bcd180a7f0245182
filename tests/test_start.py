"""docs/start.md is true: its commands run one after the other, and its keys do what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from command import loss_logging
from playwright.sync_api import Browser, Page, expect
from sklearn.datasets import load_digits
from view_server import Server
from watched import Watched

from loss_logging import read_report
from loss_logging.cli.demo.data import WORDS, load_samples

pytestmark = pytest.mark.xdist_group("demo")  # which is made once

expect.set_options(timeout=30_000)  # a busy machine is not a broken page

TEXT = (Path(__file__).parents[1] / "docs" / "start.md").read_text("utf-8")
COMMANDS = re.findall(r"^(?:    )?(loss-logging (?:demo|.* runs/demo.*))$", TEXT, re.MULTILINE)
KEYS = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)


def test_it_takes_five_steps() -> None:
    """Each step is a command or what the keyboard does, in the order of the page."""
    titles = re.findall(r"^## (\d)\. ", TEXT, re.MULTILINE)
    assert titles == ["1", "2", "3", "4", "5"]
    assert [command.split()[1] for command in COMMANDS] == ["demo", "view", "evaluate", "compare", "compare"]
    assert KEYS == ["j", "e", "Enter"]


def test_it_goes_all_the_way(demo: tuple[Path, str], browser: Browser) -> None:
    """Two captions that the run calls wrong are corrected by the keyboard, evaluated again, and found better; ten are
    corrected in at most 25 key strokes beside what is typed."""
    out, _ = demo
    _, view, evaluate, compare, show = (
        [word.replace("runs/demo", str(out)) for word in shlex.split(c)] for c in COMMANDS
    )
    server = Server(*(word for word in view[2:] if word != "--open"))
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    watched, keys = Watched(tab), list[str]()
    watched.open(server.address)
    correcting = corrections(tab, keys)
    corrected = {next(correcting), next(correcting)}
    assert corrected <= {Path(one.path).name for one in load_samples(out, seed=0) if one.fault == "wrong caption"}

    again = loss_logging(*evaluate[1:])
    assert (again.returncode, "2 of 1,797 items were computed again" in again.stdout) == (0, True), again.stderr
    compared = loss_logging(*compare[1:])
    assert set(re.findall(r"\d{4}\.png", compared.stdout.partition("Got better")[2])) == corrected, compared.stderr
    shown = loss_logging(*show[1:])
    assert all(name in (out / "changed.html").read_text("utf-8") for name in corrected), shown.stderr
    now = read_report(out / "evaluation" / "loss_logging" / "evaluation_000000000.json").datasets["messy"].item_stats
    assert all(item.caption_mismatch < 0 for path, item in now.items() if Path(path).name in corrected)

    assert len({next(correcting) for _ in range(8)} - corrected) == 8
    assert len(keys) <= 25
    tab.close()
    assert watched.problems == []
    assert server.stop() == (0, "")


def corrections(page: Page, keys: list[str]) -> Iterator[str]:
    """Do what the page says, and add the keys that it takes; the names of the images with a new caption."""

    def press(key: str) -> None:
        keys.append(key)
        page.keyboard.press(key)

    first, write, save = KEYS
    digits = load_digits().target
    press(first)
    expect(page.locator("#details")).to_be_visible()
    for done in count(1):
        name = page.locator("#details-title").inner_text()
        press(write)
        expect(page.locator("textarea.edit")).to_be_focused()
        page.keyboard.type(f"a handwritten digit {WORDS[digits[int(Path(name).stem)]]}")
        press(save)
        expect(page.locator("#progress")).to_contain_text(f"{done} of ")
        expect(page.locator("#details-title")).not_to_have_text(name)  # it goes on to the next one
        yield name
