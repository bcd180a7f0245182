"""The report page as a file, in a real browser."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from pathlib import Path

import pytest
from example_run import HOSTILE, write_run
from playwright.sync_api import Browser, Page, expect
from searched import FOUND, TEXTS
from watched import Watched

from loss_logging import LossLogger, read_report
from loss_logging.captions.exclude_list import listed_paths
from loss_logging.pages.build import PageBuilder
from loss_logging.reports.export import ItemFilter, export_items
from loss_logging.runs.locate import find_run

ROWS = "#table .tabulator-row"


def cells(tab: Page, field: str) -> list[str]:
    return tab.locator(f'{ROWS} .tabulator-cell[tabulator-field="{field}"]').all_inner_texts()


def paths(tab: Page) -> list[str]:
    """The whole paths of the rows; what is seen of them lacks the folder that they share."""
    buttons = tab.locator(f"{ROWS} button.open")
    return [str(path) for path in buttons.evaluate_all("(buttons) => buttons.map((button) => button.title)")]


def status(tab: Page, text: str | re.Pattern[str]) -> None:
    expect(tab.locator("#table-status")).to_have_text(text)


def drawn(tab: Page, id_: str) -> int:
    """How many pixels of a chart's canvas have ink."""
    script = """(id) => {
      const canvas = document.querySelector(`#${id} canvas`);
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return data.filter((value, i) => i % 4 === 3 && value > 0).length;
    }"""
    return int(tab.evaluate(script, id_))


def test_charts_are_drawn(tab: Page) -> None:
    """All three charts show lines; fewer datasets give fewer, and the second save step can be taken away."""
    for chart in ("chart-means", "chart-histograms", "chart-curves"):
        assert drawn(tab, chart) > 2_000
    before = drawn(tab, "chart-curves")
    tab.select_option("#step-b", "")
    assert drawn(tab, "chart-curves") < before
    expect(tab.locator("#chart-means-readout")).to_contain_text("cats")
    for box in tab.locator("#dataset-picker input").all():
        box.uncheck()
    expect(tab.locator("#chart-means")).to_have_text("Nothing to show.")


def test_figures_are_those_of_the_report(seen: Page, example: Path) -> None:
    """Tiles, galleries and table show the report's figures, with their uncertainty."""
    report = read_report(example / "loss_logging" / "job_000000030.json")
    assert f"{report.global_.mean:.4g}" in seen.locator(".tiles").inner_text()
    worst = report.worst.caption_mismatch[0]
    card = seen.locator("#caption_mismatch .card").first.inner_text().replace("\xa0", " ")
    assert f"{worst.score:.4g} ± {worst.standard_error:.2g}" in card
    assert f"pairs {worst.count}" in card
    hardest = max((s.hard, path) for d in report.datasets.values() for path, s in d.item_stats.items())
    assert cells(seen, "hard")[0] == f"{hardest[0]:.4g}"
    assert paths(seen)[0] == hardest[1]


def test_search_sort_filter_page(tab: Page) -> None:
    """The table answers to each, together, and says how many items match."""
    status(tab, "120 items match")
    tab.fill("#search", "NUMBER 11")
    status(tab, "10 items match")
    assert all("number 11" in caption for caption in cells(tab, "caption"))
    tab.fill("#search", "")
    tab.fill("#dataset-filter", "dogs")
    status(tab, "40 items match")
    assert set(cells(tab, "dataset")) == {"dogs"}
    tab.fill("#dataset-filter", "")
    tab.select_option("#reason-filter", "empty")
    status(tab, "2 items match")
    tab.select_option("#reason-filter", "")
    status(tab, "120 items match")
    bound = tab.locator('[tabulator-field="average_loss"] input')
    bound.fill("0.1..0.2")
    status(tab, re.compile(r"^\d+ items match"))
    expect(tab.locator("#table-status")).not_to_have_text("120 items match")
    assert all(0.1 <= float(value) <= 0.2 for value in cells(tab, "average_loss"))
    bound.fill("nonsense")
    expect(bound).to_have_attribute("aria-invalid", "true")
    bound.fill("")
    status(tab, "120 items match")
    first = cells(tab, "path")[0]
    tab.get_by_label("Next Page").click()
    expect(tab.locator(f'{ROWS} .tabulator-cell[tabulator-field="path"]').first).not_to_have_text(first)
    header = tab.locator('.tabulator-col[tabulator-field="average_loss"]')
    header.get_by_role("button").press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    values = [float(value) for value in cells(tab, "average_loss")]
    assert values == sorted(values, reverse=True), "the worst first"


def test_click_through(tab: Page) -> None:
    """A card and a row open the item with its records, by mouse and by keyboard; Escape closes it."""
    tab.locator("#hard .card button").first.click()
    dialog = tab.locator("#details")
    expect(dialog).to_be_visible()
    expect(dialog.locator(".history")).to_contain_text("30 records.")
    assert dialog.locator("canvas").count() == 1
    assert dialog.locator("tbody tr").count() == 30
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    tab.locator(f"{ROWS} button.open").nth(3).press("Enter")
    expect(dialog).to_be_visible()
    dialog.get_by_text("Copy path").click()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == dialog.locator(".path bdi").inner_text()


def test_pictures_say_why_they_are_missing(seen: Page) -> None:
    """A missing, a broken and a foreign picture are explained in words; the others are there."""
    text = seen.locator("#hard").inner_text()
    for reason in ("not found: looked for", "not an image", "not a file but a folder"):
        assert reason in text
    assert seen.locator("#hard .card img").count() >= 8
    are_pictures = "[...document.querySelectorAll('.card img')].every((i) => i.src.startsWith('data:image/webp'))"
    assert seen.evaluate(are_pictures)


def test_selection_is_downloaded(tab: Page) -> None:
    """Selected rows come as CSV and as a list of paths; without a selection, everything that matches does."""
    shown = paths(tab)
    tab.locator(f"{ROWS} input[type=checkbox]").nth(0).check()
    tab.locator(f"{ROWS} input[type=checkbox]").nth(2).check()
    status(tab, "2 selected of 120 that match")
    with tab.expect_download() as download:
        tab.click("#download-list")
    assert download.value.path().read_text("utf-8") == f"{shown[0]}\n{shown[2]}\n"
    tab.click("#clear-selection")
    tab.fill("#search", "=cmd()")
    status(tab, "1 item matches")
    with tab.expect_download() as download:
        tab.click("#download-csv")
    (row,) = csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"), newline=""))
    assert row["path"] == "'=cmd()"
    assert row["count"] == "30"
    tab.click("#copy-paths")
    expect(tab.locator("#toast")).to_have_text("1 path copied")
    assert tab.evaluate("navigator.clipboard.readText()") == "=cmd()"


def test_a_search_finds_in_any_case(tmp_path: Path, watched: Watched) -> None:
    """However case and accents are written, in captions, in paths and in datasets, as in a page that is served."""
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(
            1, [0.5] * len(TEXTS), paths=[f"{i}.png" for i in range(len(TEXTS))], datasets=TEXTS, captions=TEXTS
        )
        losses.save_step(1).result(60)
    tab = watched.open(PageBuilder(find_run(tmp_path)).write().as_uri())
    for search, found in FOUND.items():
        tab.fill("#search", search)
        status(tab, f"{len(found)} {'item matches' if len(found) == 1 else 'items match'}")
        assert sorted(paths(tab)) == sorted(f"{i}.png" for i in found)


NAMES = ["#1.png", " #2.png", "\ufeff3.png", " ", "  lead.png", "trail.png ", 'quo"te.png', "it's.png", "a\nb.png",
         "a\u2028b.png", "c\rd.png", "tab\t.png", "comma, colon;.png", "100%.png", "猫.png", "./dot.png", "=cmd().png",
         "\\back.png", "a\x85b.png"]  # fmt: skip


def test_the_exclude_list_is_that_of_export(tmp_path: Path, watched: Watched) -> None:
    """What a page writes by JavaScript is what ``export`` writes, whatever paths hold, and is read as it was meant."""
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(1, [0.5] * len(NAMES), paths=NAMES, datasets="d", captions=["a cat on a sofa"] * len(NAMES))
        report = losses.save_step(1).result(60)
    assert report is not None
    out = tmp_path / "exclude.txt"
    assert export_items(report, out, "exclude-list", ItemFilter(datasets=("d",))).warnings
    tab = watched.open(PageBuilder(find_run(tmp_path)).write().as_uri())
    tab.locator("#table .tabulator-header input[type=checkbox]").check()
    with tab.expect_download() as download:
        tab.click("#download-list")
    data = download.value.path().read_bytes()
    assert sorted(data.decode().split("\n")) == sorted(out.read_text("utf-8").split("\n"))
    meant = {posixpath.normpath(name) for name in NAMES if len(name.splitlines()) == 1}
    assert {posixpath.normpath(name) for name in listed_paths(data)} == meant
    assert {posixpath.normpath(name) for name in listed_paths(out.read_bytes())} == meant


def test_hostile_texts_are_inert(tab: Page) -> None:
    """Captions, paths and dataset names with markup, quotes, other directions or a megabyte are shown as text."""
    for caption in HOSTILE.values():
        tab.fill("#search", caption[:60].lower())
        status(tab, "1 item matches")
        first = tab.locator(f'{ROWS} .tabulator-cell[tabulator-field="caption"]')
        expect(first).to_have_count(1)
        expect(first).to_contain_text(" ".join(caption[:40].split()))
        tab.locator(f"{ROWS} button.open").first.dispatch_event("click")  # rows may be made anew between down and up
        tab.locator("#details-close").click()
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("script").count() == 18  # data blocks, three scripts packed and unpacked, the loader
    assert "<b>birds</b> \"'&" in tab.locator(".datasets").inner_text()
    assert tab.locator("main b:text('birds')").count() == 0


def test_no_script_from_elsewhere_runs(page_file: Path, browser: Browser, tmp_path: Path) -> None:
    """Were a text ever to become markup, the policy stops it: scripts, styles and requests that are not the page's."""
    harm = '<script>window.hacked = 1</script><img src="https://example.org/x.png" onerror="window.hacked = 2">'
    file = tmp_path / "page.html"
    file.write_text(page_file.read_text("utf-8").replace("<main>", f"<main>{harm}"), "utf-8")
    page = browser.new_page()
    failed: dict[str, str | None] = {}
    page.on("requestfailed", lambda request: failed.update({request.url: request.failure}))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready=true]", state="attached")
    assert page.evaluate("window.hacked") is None
    assert failed == {"https://example.org/x.png": "csp"}
    page.close()


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_colours(scheme: str, watched: Watched, page_file: Path) -> None:
    """The page follows the system's scheme and the reader's own choice; texts have a contrast of 4.5 and more."""
    watched.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    tab = watched.open(page_file.as_uri())
    assert (luminance(tab, "body", "background-color") < 0.2) == (scheme == "dark")
    for text in (".sub", ".hint", ".card .figures", ".chip", "mark", "nav a", ".tabulator-cell", ".tabulator-col"):
        assert contrast(tab, text) >= 4.5, text
    other = {"light": "dark", "dark": "light"}[scheme]
    tab.select_option("#theme", other)
    assert (luminance(tab, "body", "background-color") < 0.2) == (other == "dark")
    tab.reload()
    tab.wait_for_selector("html[data-ready=true]", state="attached")
    assert (luminance(tab, "body", "background-color") < 0.2) == (other == "dark")


def luminance(tab: Page, selector: str, name: str) -> float:
    """Relative luminance, 0 to 1, of a colour of an element, as WCAG 2 defines it; looks behind what is transparent."""
    script = """([selector, name]) => {
      for (let node = document.querySelector(selector); node; node = node.parentElement) {
        const parts = getComputedStyle(node)[name].match(/[\\d.]+/g).map(Number);
        if (parts.length === 3 || parts[3] === 1) return parts;
      }
      return [255, 255, 255];
    }"""
    parts = [value / 255 for value in tab.evaluate(script, [selector, name])[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(tab: Page, selector: str) -> float:
    light, dark = sorted((luminance(tab, selector, name) for name in ("color", "background-color")), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_phone(watched: Watched, page_file: Path) -> None:
    """On a phone nothing is wider than the screen, and an item can be opened."""
    watched.page.set_viewport_size({"width": 390, "height": 800})
    tab = watched.open(page_file.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.locator(f"{ROWS} button.open").first.click()
    expect(tab.locator("#details")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_nothing_shifts(seen: Page) -> None:
    """While the page is put together, nothing that is seen moves."""
    assert seen.evaluate("window.shifted") < 0.02


def test_every_control_has_a_name(seen: Page) -> None:
    """Whatever can be focused says what it is."""
    script = """() => [...document.querySelectorAll("button, input, select, summary")]
      .filter((node) => node.checkVisibility())
      .filter((node) => !(node.labels?.length || node.ariaLabel || node.title || node.textContent.trim()))
      .map((node) => node.outerHTML.slice(0, 200))"""
    assert seen.evaluate(script) == []


def test_a_run_without_items(watched: Watched, tmp_path: Path) -> None:
    """With ``log_per_example`` off there are charts and no items, and nothing goes wrong."""
    write_run(tmp_path, steps=(10, 20), log_per_example=False, html=True)
    tab = watched.open((tmp_path / "loss_logging" / "job.html").as_uri(), rows=False)
    status(tab, "0 items match")
    assert drawn(tab, "chart-means") > 2_000
    expect(tab.locator("#hard")).to_contain_text("Nothing to show")


def test_a_filter_writes_the_address_once(tab: Page) -> None:
    """A browser takes milliseconds for each change of the address: a filter costs one, the same question again none."""
    tab.evaluate(
        """() => {
          window.written = 0;
          const replace = history.replaceState.bind(history);
          history.replaceState = (...values) => { window.written += 1; replace(...values); };
        }"""
    )
    tab.fill("#search", "a")
    expect(tab).to_have_url(re.compile("search=a"))
    assert tab.evaluate("window.written") == 1
    tab.locator("#search").dispatch_event("input")
    tab.fill("#search", "b")
    expect(tab).to_have_url(re.compile("search=b"))
    assert tab.evaluate("window.written") == 2


@pytest.mark.parametrize("step", ["15", "1e1", "<b>"])
def test_a_link_to_a_save_step_that_is_gone(step: str, watched: Watched, page_file: Path) -> None:
    """The newest is shown, and it is said: the reader of a link does not take it for the other."""
    tab = watched.open(f"{page_file.as_uri()}#step={step}&search=number+11")
    expect(tab.locator("#toast")).to_have_text(f"This page has no save step {step}: the newest is shown")
    expect(tab).to_have_url(re.compile("#sort=[^&]*&search=number|#search=number[^&]*(&sort=[^&]*)?$"))
    expect(tab.locator(".sub")).to_contain_text("Save step 30")
    status(tab, "10 items match")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("where.nosuch=%3E5", "There is no figure “nosuch” here, so nothing is filtered by it."),
        ("where.path=%3E5", "There is no figure “path” here, so nothing is filtered by it."),
        ("flagged=nosuch", "No caption here is flagged “nosuch”, so nothing is filtered by that."),
    ],
)
def test_a_link_with_a_filter_that_the_page_does_not_have(
    watched: Watched, page_file: Path, asked: str, said: str
) -> None:
    """It is said: what is shown is more than the link promises. The filter stays in the address."""
    tab = watched.open(f"{page_file.as_uri()}#{asked}&search=number")
    expect(tab.locator("#filter-problem")).to_have_text(said)
    tab.fill("#search", "number 11")
    expect(tab.locator("#filter-problem")).to_have_text(said)
    assert asked in tab.url
    assert watched.problems == []
