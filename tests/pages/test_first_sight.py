"""What a person sees at first sight, and what follows from a click, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe import serious_violations
from built_pages import report_of
from playwright.sync_api import Browser, Page, expect
from watched import Watched

from loss_logging import LossLogger
from loss_logging.pages.build import PageBuilder
from loss_logging.runs.locate import find_run

ROWS = "#table .tabulator-row"


def write(root: Path, n: int, datasets: int, *, drag: float = 1.0, wrong: int = 0, paired: bool = True) -> None:
    """A run of ``n`` items; the first dataset's losses are ``drag`` times the others', captions help but ``wrong``."""
    rng = np.random.default_rng(2)
    place = np.arange(n)
    options: dict[str, Any] = {"save_every": 10, "captions": {"rules": {"disabled": ["duplicate", "near_duplicate"]}}}
    with LossLogger(job_name="job", save_root=root, loggers=[], reporter="inline", **options) as losses:
        for step in range(1, 21):
            loss = rng.gamma(40, 0.01, n) * np.where(place % datasets == 0, drag, 1.0)
            losses.log_batch(
                step,
                loss,
                paths=[f"/data/set {i % datasets}/{i:04d}.jpg" for i in range(n)],
                datasets=[f"set {i % datasets}" for i in range(n)],
                captions=[f"a photograph of thing {i} beside a house" for i in range(n)],
                timesteps=rng.random(n),
                losses_empty=loss * rng.normal(np.where(place < wrong, 0.8, 1.25), 0.05) if paired else None,
            )
            if step % 10 == 0:
                losses.save_step(step).result(60)


def page_of(root: Path) -> str:
    return PageBuilder(find_run(root)).write().as_uri()


def answers(tab: Page) -> list[str]:
    return tab.locator(".answer b").all_inner_texts()


# --- the answer ------------------------------------------------------------------------------------------------------


def test_the_first_screen_is_the_answer(watched: Watched, tmp_path: Path) -> None:
    """How many captions, images and flags to look at, and which dataset drags, each a link to what shows it."""
    write(tmp_path, 120, 3, drag=1.2, wrong=6)
    tab = watched.open(page_of(tmp_path))
    assert answers(tab) == [
        "6 captions very likely wrong",
        "No image stands out",
        "No caption was flagged",
        "Dataset set 0 drags",
    ]
    last = tab.locator(".answer").last
    assert re.search(r"loss \+(19|20|21)% ± 0\.\d%", last.inner_text())
    for place, answer in enumerate(["caption_mismatch", "hard", "flagged", "datasets"]):
        tab.locator(".answer").nth(place).click()
        assert tab.evaluate("document.activeElement.closest('section').id") == answer
    box = tab.locator(".answers").bounding_box()
    assert box is not None
    assert box["height"] + box["y"] < 900, "all of it is on the first screen"
    sentence = tab.locator("#caption_mismatch .card .sentence").first.inner_text()
    assert re.fullmatch(r"With its caption the loss is \d+% higher than with none; seen in 20 of 20 tries\.", sentence)


def test_where_nothing_is_wrong_nothing_is_said_to_be(watched: Watched, tmp_path: Path) -> None:
    """No caption that helps has a card under "captions to look at"; the ranking is there, and says what it is."""
    write(tmp_path, 40, 2)
    tab = watched.open(page_of(tmp_path))
    assert answers(tab)[:2] == ["No caption stands out", "No image stands out"]
    assert answers(tab)[3] == "No dataset drags"
    section = tab.locator("#caption_mismatch")
    assert section.locator("> .gallery").count() == 0
    expect(section.locator("summary")).to_contain_text("that do not stand out")
    assert "lower than with none" in section.locator(".sentence").first.text_content()  # type: ignore[operator]


def test_what_was_not_looked_at_is_not_called_fine(watched: Watched, tmp_path: Path) -> None:
    """Without the loss with the empty caption, captions are "not compared yet"."""
    write(tmp_path, 10, 2, paired=False)
    tab = watched.open(page_of(tmp_path))
    assert answers(tab)[0] == "Captions not compared yet"


# --- the save step ---------------------------------------------------------------------------------------------------


def test_the_save_step_moves_everything(tab: Page, example: Path) -> None:
    """Head, galleries, ranking, flags and table are those of the step that is chosen; and back again."""
    first, last = report_of(example, 10), report_of(example, 30)
    before = {part: tab.locator(f"#{part}").inner_text() for part in ("overview", "galleries", "ranking", "flags")}
    tab.select_option("#step", "10")
    expect(tab.locator(".sub")).to_contain_text("Save step 10")
    assert f"{first.global_.mean:.4g}" in tab.locator(".tiles").inner_text()
    scores = {f"{item.score:.4g}" for item in first.worst.hard}
    assert any(score in tab.locator("#hard .card").first.inner_text() for score in scores)
    assert tab.locator("#hard .card img").count() >= 8
    assert tab.evaluate("[...document.querySelectorAll('#hard img')].every((i) => i.src.startsWith('data:image/webp'))")
    assert f"{first.datasets['cats'].summary.mean:.4g}" in tab.locator("#ranking").inner_text()
    hardest = max(s.hard or 0 for d in first.datasets.values() for s in d.item_stats.values())
    cell = tab.locator(f'{ROWS} [tabulator-field="hard"]').first
    expect(cell).to_have_text(f"{hardest:.4g}")
    tab.locator(f"{ROWS} button.open").first.dispatch_event("click")  # rows may be made anew between down and up
    expect(tab.locator("#details .figures-list")).to_contain_text(f"{hardest:.4g}")
    tab.keyboard.press("Escape")
    assert "step=10" in tab.url
    tab.select_option("#step", "30")
    hardest = max(s.hard or 0 for d in last.datasets.values() for s in d.item_stats.values())
    expect(cell).to_have_text(f"{hardest:.4g}")
    assert {part: tab.locator(f"#{part}").inner_text() for part in before} == before


def test_what_is_seen_is_in_the_address(watched: Watched, page_file: Path, browser: Browser) -> None:
    """Step, search, filters, order and item: a second tab with that address shows the same."""
    tab = watched.open(page_file.as_uri())
    tab.select_option("#step", "20")
    tab.fill("#search", "number 2")
    tab.locator('[tabulator-field="average_loss"] input').fill(">0")
    expect(tab.locator("#table-status")).to_have_text("11 items match")
    tab.locator('.tabulator-col[tabulator-field="count"] .sorter').click()
    tab.locator(f"{ROWS} button.open").nth(1).dispatch_event("click")
    title = tab.locator("#details-title").inner_text()
    address = tab.url
    other = browser.new_page()
    other.goto(address)
    expect(other.locator("#details-title")).to_have_text(title)
    expect(other.locator("#table-status")).to_have_text("11 items match")
    expect(other.locator(".sub")).to_contain_text("Save step 20")
    expect(other.locator('.tabulator-col[tabulator-field="count"]')).to_have_attribute("aria-sort", "descending")
    other.close()


def test_another_address_of_the_page_is_shown(watched: Watched, page_file: Path) -> None:
    """A link that is put into the address of an open page, where the browser itself loads nothing."""
    tab = watched.open(page_file.as_uri())
    tab.fill("#search", "nothing has this caption")
    expect(tab.locator("#table-status")).to_contain_text("0 items match")
    tab.goto(f"{page_file.as_uri()}#search=number+2")
    expect(tab.locator("#search")).to_have_value("number 2")
    expect(tab.locator(f"{ROWS} button.open").first).to_be_visible()


# --- charts and datasets ---------------------------------------------------------------------------------------------


def test_the_loss_curve_is_smoothed_and_named(tab: Page) -> None:
    """The slider says over how many steps; dashed lines are named by their step; a zoom says how to get back."""
    tab.locator("#smooth").fill("0")
    expect(tab.locator("#smooth-value")).to_have_text("off")
    tab.locator("#smooth").fill("80")
    expect(tab.locator("#smooth-value")).to_have_text(re.compile(r"^\d+ steps$"))
    expect(tab.locator("#chart-curves-readout")).to_contain_text("step 10")
    box = tab.locator("#chart-means .u-over").bounding_box()
    assert box is not None
    back = tab.locator("#chart-means-readout button")
    expect(back).to_be_hidden()
    tab.locator("#chart-means").scroll_into_view_if_needed()
    box = tab.locator("#chart-means .u-over").bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 100, box["y"] + 50)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 300, box["y"] + 60, steps=4)
    tab.mouse.up()
    expect(back).to_be_visible()
    expect(tab.locator("#chart-means-readout")).to_contain_text("Step")
    back.click()
    expect(back).to_be_hidden()
    assert tab.locator("#losses .tooltip").count() == 0, "nothing lies over the lines"


def test_three_hundred_datasets(watched: Watched, tmp_path: Path) -> None:
    """Small charts, a ranking that is sorted and searched, and a page that stays small."""
    write(tmp_path, 600, 300, drag=1.5)
    tab = watched.open(page_of(tmp_path))
    assert "Dataset set 0 drags" in answers(tab)
    rows = tab.locator("#datasets tbody tr")
    assert rows.count() == 300
    expect(rows.first).to_contain_text("set 0")
    assert tab.locator("#multiples canvas").count() == 24
    expect(tab.locator("#multiples figure").first).to_contain_text("set 0")
    tab.locator("#multiples button").click()
    assert tab.locator("#multiples canvas").count() == 48
    tab.locator("#datasets").get_by_role("button", name="Mean").click()
    values = [float(text) for text in tab.locator("#datasets tbody td:nth-child(3)").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    tab.fill("#ranking-search", "SET 29")
    assert tab.locator("#datasets tbody tr:visible").count() == 11
    assert len((tmp_path / "loss_logging" / "job.html").read_bytes()) < 2_000_000


def test_what_captions_of_a_dataset_are(seen: Page, example: Path) -> None:
    """Their kind, and what is wrong with all of them."""
    captions = report_of(example, 30).datasets["dogs"].captions
    assert captions is not None
    row = seen.locator("#datasets tbody tr", has_text="dogs")
    expect(row).to_contain_text(captions.profile or "mixed")
    for reason in captions.reasons:
        expect(row).to_contain_text(reason.rule)


def test_severity_has_one_colour(tab: Page) -> None:
    """A rule's chip looks the same in a gallery, in its list and in the table; the most severe rules come first."""
    order = tab.locator("#flagged summary .chip").evaluate_all("(chips) => chips.map((chip) => chip.classList[1])")
    rank = ["error", "warning", "info"]
    assert [rank.index(severity) for severity in order] == sorted(rank.index(severity) for severity in order)
    tab.select_option("#reason-filter", "empty")
    expect(tab.locator(f"{ROWS} .chip").first).to_be_visible()
    colour = tab.locator("#flagged .chip", has_text="empty").first.evaluate(
        "(node) => getComputedStyle(node).backgroundColor"
    )
    for place in ("#hard .chip", f"{ROWS} .chip"):
        expect(tab.locator(place, has_text="empty").first).to_have_css("background-color", colour)


# --- an item, and the table ------------------------------------------------------------------------------------------


def test_from_item_to_item_by_key(tab: Page) -> None:
    """Arrow keys go through the gallery; the losses have a legend, pairs are joined, and timesteps are an axis."""
    names = tab.locator("#hard > .gallery .name").all_inner_texts()
    tab.locator("#hard .card button").first.click()
    title = tab.locator("#details-title")
    expect(title).to_have_text(names[0])
    tab.keyboard.press("ArrowRight")
    expect(title).to_have_text(names[1])
    tab.keyboard.press("ArrowLeft")
    expect(title).to_have_text(names[0])
    history = tab.locator("#details .history")
    expect(history).to_contain_text("loss with the empty caption")
    history.locator("select").select_option("1")
    assert history.locator("canvas").count() == 1
    expect(tab.locator("#details")).to_contain_text("Open image")
    assert tab.locator("#details a").first.get_attribute("href").startswith("file:///")  # type: ignore[union-attr]
    tab.get_by_text("Copy link to this item").click()
    assert "item=" in tab.evaluate("navigator.clipboard.readText()")


def test_nothing_exports_everything_unasked(tab: Page) -> None:
    """Without a selection or a filter nothing is copied or excluded, and the CSV says that it is all."""
    for button in ("#copy-paths", "#download-list"):
        expect(tab.locator(button)).to_be_disabled()
    expect(tab.locator("#download-csv")).to_have_text("Download CSV (all 120 items)")
    tab.fill("#search", "number 77")
    expect(tab.locator("#download-list")).to_have_text("Download exclude list (1 that match)")


def test_a_filter_that_is_no_figure_says_so(seen: Page) -> None:
    """In words, with what would be one."""
    seen.locator('[tabulator-field="average_loss"] input').fill("high")
    expect(seen.locator("#filter-problem")).to_have_text(
        "“high” is no figure, so Mean loss is not filtered: write >0.5, <0.1 or 0.2..0.4."
    )
    seen.locator('[tabulator-field="average_loss"] input').fill("")
    expect(seen.locator("#filter-problem")).to_be_hidden()


def test_pictures_that_are_all_missing(watched: Watched, tmp_path: Path) -> None:
    """One sentence with where was looked and what to give, and cards without empty boxes."""
    write(tmp_path, 30, 2, wrong=4)
    tab = watched.open(page_of(tmp_path))
    note = tab.locator("#caption_mismatch .note")
    expect(note).to_contain_text("not found: looked for /data/set ")
    expect(note).to_contain_text("--images DIR")
    assert tab.locator("#caption_mismatch .no-picture").count() == 0


# --- everybody -------------------------------------------------------------------------------------------------------


def test_few_tabs_to_the_first_card(tab: Page) -> None:
    """By keyboard, the first picture is near."""
    presses = 0
    while presses < 20:
        presses += 1
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.closest('.card') !== null"):
            break
    assert presses <= 14


def test_without_javascript(browser: Browser, page_file: Path) -> None:
    """What stands out, pictures and flags are there, and what is not is said."""
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page_file.as_uri())
    assert "need JavaScript" in tab.locator("main").inner_text()
    assert tab.locator("#hard .card img").count() >= 8
    assert tab.locator(".answer").count() >= 4
    context.close()


def test_on_paper(tab: Page) -> None:
    """Black on white without controls, whatever the colours of the screen are."""
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for control in ("nav", ".controls", "#items", "#dataset-picker"):
        assert not tab.locator(control).first.is_visible()
    assert tab.locator(".answer").first.is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 390)])
def test_axe_finds_no_serious_violation(scheme: str, width: int, watched: Watched, page_file: Path) -> None:
    """Of the page, and of an item that is open."""
    watched.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    watched.page.set_viewport_size({"width": width, "height": 900})
    tab = watched.open(page_file.as_uri())
    assert serious_violations(tab) == []
    tab.locator("#hard .card button").first.click()
    expect(tab.locator("#details canvas")).to_be_visible()
    assert serious_violations(tab, "#details") == []


def test_a_step_beyond_what_the_page_holds(watched: Watched, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table says of which step it is, and which command makes the page of the other."""
    monkeypatch.setattr("loss_logging.pages.steps.MOST_ROWS", 10)
    tab = watched.open(page_of(copy))
    tab.select_option("#step", "10")
    expect(tab.locator("#table-step")).to_contain_text("@10")
    expect(tab.locator(".sub")).to_contain_text("Save step 10")
