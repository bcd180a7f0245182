"""The page of two reports side by side: what it says, and how it looks in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from axe import serious_violations
from example_run import HOSTILE
from item_reports import save
from playwright.sync_api import Browser, Page, expect
from two_runs import write_two_runs
from typer.testing import CliRunner
from view_server import Server
from watched import Watched, only_looked_at

from loss_logging import read_report
from loss_logging.captions.decisions import Decisions
from loss_logging.cli.commands import app
from loss_logging.errors import LossLoggingError
from loss_logging.pages.comparison import comparison_page, write_comparison_page
from loss_logging.reports.artifact import write_items, write_report
from loss_logging.reports.item_texts import item_texts
from loss_logging.reports.items import ITEM_SCHEMA, read_items
from loss_logging.reports.names import items_path

ROWS = "#table .tabulator-row"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The reports of two evaluations; nobody changes them."""
    return write_two_runs(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def file(two: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their page."""
    out = tmp_path_factory.mktemp("page") / "compared.html"
    done = CliRunner().invoke(app, ["compare", *map(str, two), "--html", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    return out


@pytest.fixture(scope="module")
def tab(browser: Browser, file: Path) -> Iterator[Page]:
    """One for all; each test looks at another part of it."""
    with only_looked_at(browser, file.as_uri()) as page:
        yield page


def text(tab: Page, place: str) -> str:
    return tab.locator(place).inner_text().replace("\xa0", " ")


def notes(page: str) -> str:
    found = re.search(r'<section class="warnings".*?</section>', page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", found[0])).strip() if found else ""


def test_the_answer_comes_first(tab: Page) -> None:
    """How the loss changed, with its error; what got better and worse beyond chance; captions that changed."""
    assert text(tab, "h1") == "shapes in before → shapes in after"
    titles = tab.locator(".answer b").all_inner_texts()
    assert titles[1:] == ["5 better, 3 worse", "8 captions changed", "8 → 0 very likely wrong"]
    assert "±" in text(tab, ".answer >> nth=0")
    assert tab.locator(".sides b").all_inner_texts() == ["shapes in before", "shapes in after"]


def test_a_caption_is_compared_with_its_former_self(tab: Page) -> None:
    """Words that differ are marked, beside the picture, the loss with its error, and the verdicts."""
    card = tab.locator("#recaptioned .card").first
    assert card.locator("img").get_attribute("src").startswith("data:image/webp")  # type: ignore[union-attr]
    assert card.locator("del").all_inner_texts() == ["yellow", "square", "3"]
    assert card.locator("ins").all_inner_texts() == ["blue", "circle", "2"]
    said = card.inner_text().replace("\xa0", " ")
    assert "caption changed" in said
    assert "Loss 40% lower, beyond chance." in said
    assert re.search(r"loss 0\.684 → 0\.412 · −0\.273 ± 0\.039", said)
    assert "very likely wrong" in said
    card.locator("button.open").click()
    expect(tab.locator("#details-content ins").first).to_have_text("blue")
    tab.keyboard.press("Escape")


def test_two_runs_are_overlaid_by_name(tab: Page) -> None:
    """Each chart has a line for each run, named below it; another dataset draws others."""
    for chart in ("chart-histograms", "chart-curves"):
        assert tab.locator(f"#{chart} canvas").count() == 1
        assert tab.locator(f"#{chart}-readout bdi").all_inner_texts() == ["shapes in before", "shapes in after"]
    before = text(tab, "#chart-curves-readout")
    tab.select_option("#run-dataset", "squares")
    assert text(tab, "#chart-curves-readout") != before
    expect(tab.locator("#chart-means")).to_be_hidden()  # an evaluation is one step


def test_the_table_has_every_item(tab: Page, file: Path) -> None:
    """It filters by what changed, and the datasets add up."""
    expect(tab.locator("#table-status")).to_have_text("96 items match")
    tab.select_option("#reason-filter", "caption changed")
    expect(tab.locator("#table-status")).to_have_text("8 items match")
    tab.select_option("#reason-filter", "worse")
    expect(tab.locator("#table-status")).to_have_text("3 items match")
    assert tab.locator("#datasets tbody th").all_inner_texts() == ["circles", "squares", "all"]
    assert file.stat().st_size < 1_000_000


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_no_serious_violation(scheme: Any, width: int, watched: Watched, file: Path) -> None:
    """Neither on the page nor in an item's dialog; nothing is wider than the screen."""
    watched.page.emulate_media(color_scheme=scheme)
    watched.page.set_viewport_size({"width": width, "height": 900})
    tab = watched.open(file.as_uri())
    assert serious_violations(tab) == []
    tab.locator(".card button.open").first.click()
    assert serious_violations(tab, "#details") == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_training_runs_with_other_items_and_steps(watched: Watched, tmp_path: Path) -> None:
    """The loss over training is overlaid; what differs in steps and items is said; hostile texts are texts."""
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(12)]
    captions = dict(zip(names, HOSTILE.values(), strict=False))
    first = save(tmp_path / "a", [{("d", name): list(rng.random(6)) for name in names[:10]}], captions=captions)[0]
    second = save(tmp_path / "b", [{("d", name): list(rng.random(8)) for name in names[2:]}])[0]
    write_comparison_page(first, second, out := tmp_path / "page.html")
    tab = watched.open(out.as_uri())
    assert tab.locator("#chart-means-readout bdi").all_inner_texts() == ["job in a", "job in b"]
    said = text(tab, ".warnings")
    assert "The steps differ, 6 and 8" in said
    assert "Only in job in a: 2 items (0.png, 1.png)." in said
    assert "No picture is shown" in text(tab, "#recaptioned")
    assert tab.evaluate("window.hacked") is None


def test_save_steps_of_one_run(tmp_path: Path) -> None:
    """What is compared is what came in between; the steps tell them apart."""
    first, second = save(tmp_path, [{("d", "1.png"): [1.0, 2.0]}, {("d", "1.png"): [0.5, 0.25]}])
    page = comparison_page(first, second)
    assert "<h1><bdi>job, step 2 → job, step 4</bdi></h1>" in page
    assert notes(page) == "One run: losses up to step 2 are compared with those of steps 3 to 4."


def test_nothing_in_common(tmp_path: Path) -> None:
    """Datasets are compared then, and it is said."""
    (first,) = save(tmp_path / "a", [{("d", "1.png"): [1.0, 2.0]}])
    (second,) = save(tmp_path / "b", [{("e", "2.png"): [1.0, 2.0]}])
    assert notes(comparison_page(first, second)).startswith("No item is in both reports: only datasets are compared.")


def test_the_same_report_twice(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Nothing can have changed: what to give is said."""
    with pytest.raises(LossLoggingError, match=r"A and B are the same report, .*; give two, such as RUN@250"):
        comparison_page(two[0], two[0])


def test_a_report_without_its_run(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Files that somebody was sent are enough."""
    copies = [Path(shutil.copy(path, tmp_path / f"{name}.json")) for name, path in zip("ab", two, strict=True)]
    assert "8 captions changed" in comparison_page(*copies)


def test_chances_and_decisions(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Where pictures were judged, the chance before and after is drawn; what was decided stands on the card."""
    reports = []
    for path, chance in zip(two, (0.93, 0.02), strict=True):
        report = read_report(path)
        (folder := tmp_path / path.parents[1].name / "loss_logging").mkdir(parents=True)
        rows = [row | {"p_wrong": chance} for batch in read_items(path) for row in batch.to_pylist()]
        reports.append(folder / path.name)
        write_report(reports[-1], report, item_texts([pa.RecordBatch.from_pylist(rows, ITEM_SCHEMA)]))
    item = min(path for dataset in read_report(reports[1]).datasets.values() for path in dataset.item_stats)
    Decisions(None, tmp_path / "after" / "loss_logging" / "shapes_decisions.jsonl").decide(item, "fine")
    page = comparison_page(*reports)
    assert "the chance of being wrong fell for 8 and rose for 0" in page
    assert page.count("93%") >= 8
    assert 'class="chip fine">fine' in page


def test_view_compares(two: tuple[Path, Path]) -> None:
    """`view A --compare B` serves the page to whoever has its token; nothing can be edited in it."""
    done = CliRunner().invoke(app, ["view", str(two[0]), "--compare", str(two[1]), "--edit"])
    assert done.exit_code == 2
    assert "--edit is for one run" in done.stderr
    server = Server(two[0], "--compare", str(two[1]))
    try:
        assert server.ask("/", cookie="").status == 403
        assert "8 captions changed" in server.ask("/").text
    finally:
        code, _ = server.stop()
    assert code == 0


@pytest.mark.long
def test_a_hundred_thousand_items(two: tuple[Path, Path], tmp_path: Path) -> None:
    """The page stays below 3 MB, and says how many items it leaves out."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(4_000)])
    n = 100_000
    captions = [" ".join(row) for row in words[rng.integers(0, len(words), (n, 14))]]
    reports = []
    for name in ("a", "b"):
        (folder := tmp_path / name / "loss_logging").mkdir(parents=True)
        columns: dict[str, Any] = {
            "dataset": ["circles"] * n,
            "path": [f"/data/{i // 1_000:03}/{i:06}.jpg" for i in range(n)],
            "caption": captions,
            "count": [16] * n,
            "non_finite": [0] * n,
            "n_paired": [16] * n,
            "average_loss": rng.gamma(40, 0.01, n),
            "std_loss": [0.05] * n,
            "p_wrong": rng.random(n),
        }
        arrays = [pa.array(columns.get(field.name, [None] * n), field.type) for field in ITEM_SCHEMA]
        reports.append(folder / two[0].name)
        write_report(reports[-1], read_report(two[0]), [])
        write_items(items_path(reports[-1]), [pa.RecordBatch.from_arrays(arrays, schema=ITEM_SCHEMA)])
    page = comparison_page(*reports)
    assert len(page.encode()) < 3_000_000
    found = re.search(r"The table holds ([\d,]+) of 100,000 items: .*? ([\d,]+) are left out", page, re.DOTALL)
    assert found
    shown, left_out = (int(number.replace(",", "")) for number in found.groups())
    assert shown + left_out == n
    assert shown > 15_000
