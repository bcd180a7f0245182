"""The site in docs/: `make docs`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser

import loss_logging
from loss_logging import TrainConfig
from loss_logging.captions.config import CaptionConfig
from loss_logging.evaluation.config import EvaluateConfig

pytest.importorskip("furo", reason='pip install -e ".[docs]"')
pytestmark = pytest.mark.xdist_group("site")  # which is built once

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a warning is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--builder", "html"]
    done = subprocess.run([*command, "docs", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def test_every_page_is_there(site: Path) -> None:
    """Each page of docs/ is one of the site, and can be reached from the first."""
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    reached, waiting = set(), ["index.html"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in re.findall(r'href="([^"#:]+\.html)', text_of(site / page)):
            waiting.append((site / page).parent.joinpath(link).resolve().relative_to(site.resolve()).as_posix())
    assert pages <= reached


def test_links_lead_somewhere(site: Path) -> None:
    """Every link and picture within the site is there, and so is the place in the page that it names."""
    site = site.resolve()
    anchors = {page: set(re.findall(r'id="([^"]+)"', text_of(page))) for page in site.rglob("*.html")}
    for page in anchors:
        for link in re.findall(r'(?:href|src)="([^"]+)"', text_of(page)):
            parts = urlsplit(link.replace("&amp;", "&"))
            if parts.scheme or page.name in {"search.html", "genindex.html"}:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.exists(), (page.name, link)
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in anchors[target], (page.name, link)


@pytest.mark.parametrize(
    "name",
    ["index", "decisions/site", *(pytest.param(name, marks=pytest.mark.long) for name in ("configuration", "figures"))],
)
def test_a_page_needs_no_network(site: Path, browser: Browser, name: str) -> None:
    """Opened as a file, a page is shown with its style, asks for nothing outside its folder, and says no error."""
    tab, asked, problems = browser.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("requestfailed", lambda request: problems.append(request.url))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto((site / f"{name}.html").as_uri())
    assert tab.locator("h1").first.is_visible()
    assert tab.evaluate("document.styleSheets.length") > 0
    assert [url for url in asked if not url.startswith(site.as_uri())] == []
    assert problems == []
    tab.close()


@pytest.mark.parametrize("config", [TrainConfig, EvaluateConfig, CaptionConfig], ids=lambda config: config.__name__)
def test_every_key_is_in_the_reference(site: Path, config: type[msgspec.Struct]) -> None:
    """Each key of a configuration has a row, with what its docstring says."""
    page = re.sub(r"<[^>]+>", "", text_of(site / "configuration.html"))
    for field in msgspec.structs.fields(config):
        assert re.search(rf"^(\w+\.)*{field.name}$", page, re.MULTILINE), field.name


def test_every_field_and_name_is_in_the_references(site: Path) -> None:
    """Each object of the report's schema, each public name and each SQL file is on the site, the last whole."""
    schema = json.loads((ROOT / "loss_logging" / "report.schema.json").read_text("utf-8"))
    report, api, figures = (
        re.sub(r"<[^>]+>", "", text_of(site / f"{page}.html")) for page in ("json_report", "api", "figures")
    )
    for name, entry in schema["$defs"].items():
        assert name in report
        assert all(field in report for field in entry["properties"]), name
    assert all(f"loss_logging.{name}" in api for name in loss_logging.__all__)
    for file in (ROOT / "loss_logging" / "statistics" / "sql").glob("*.sql"):
        assert file.name in figures
