"""What a person sees: the report page, and TensorBoard itself, looked at in a real browser.

``--screenshots DIR`` keeps the pictures, and shows the demo instead of a small run: `make screenshots`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from example_run import write_run
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from watched import Watched

from loss_logging import LossReport, read_report

pytestmark = pytest.mark.xdist_group("screenshots")  # of one run

SCRIPTS = Path(sys.executable).parent
MOST_BYTES = 300_000
"""Of a picture, which everybody who clones the repository downloads."""


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LossReport:
    """The last report of a run with a page and TensorBoard files. The demo's paths are short ones."""
    folder = tmp_path_factory.mktemp("shown")
    if request.config.getoption("--screenshots"):
        subprocess.run([SCRIPTS / "loss-logging", "demo", "--json"], cwd=folder, check=True, capture_output=True)
        return read_report(folder / "runs" / "demo" / "loss_logging" / "digits_000001200.json")
    write_run(folder, loggers=["tensorboard"], html=True)
    return read_report(folder / "loss_logging" / "job_000000030.json")


def folder_of(run: LossReport) -> Path:
    assert run.json_path is not None
    return Path(run.json_path).parent


@pytest.fixture
def keep(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes a picture of what is in the window; it shows something and is small."""

    def take(tab: Page, name: str) -> None:
        path = (request.config.getoption("--screenshots") or tmp_path) / f"{name}.png"
        tab.screenshot(path=path, animations="disabled")
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 10
            image.quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
        assert path.stat().st_size < MOST_BYTES

    return take


@pytest.mark.parametrize(
    ("name", "scheme", "size", "section"),
    [
        ("page_light", "light", (1300, 1330), None),
        pytest.param("page_dark", "dark", (1300, 1000), "items", marks=pytest.mark.long),
        ("page_phone", "light", (390, 844), "caption_mismatch"),
    ],
)
def test_the_page(
    name: str,
    scheme: str,
    size: tuple[int, int],
    section: str | None,
    watched: Watched,
    run: LossReport,
    keep: Callable[[Page, str], None],
) -> None:
    """Light, dark and on a phone: charts, pictures of the worst items and the table are there."""
    watched.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    watched.page.set_viewport_size({"width": size[0], "height": size[1]})
    tab = watched.open((folder_of(run) / f"{run.job.name}.html").as_uri())
    items = sum(len(dataset.item_stats) for dataset in run.datasets.values())
    expect(tab.locator("#table-status")).to_have_text(f"{items:,} items match")
    assert tab.locator("#hard .card img").count() >= 8
    assert tab.locator(".chart canvas").count() == 3
    if section:
        tab.locator(f"#{section}").evaluate("(node) => node.scrollIntoView()")
    keep(tab, name)


@pytest.fixture(scope="module")
def tensorboard(run: LossReport) -> Iterator[str]:
    """The address of TensorBoard over what the run wrote."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        "tensorboard",
        "--samples_per_plugin",
        "text=1000,images=1000",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, cwd=folder_of(run), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)))
            yield found[0]
        finally:
            process.terminate()
            process.stderr.read()  # or it waits for a reader before it ends


@pytest.mark.long
def test_tensorboard(tensorboard: str, run: LossReport, browser: Browser, keep: Callable[[Page, str], None]) -> None:
    """TensorBoard itself shows the losses, the histograms, the pictures of the worst items, and the tables."""
    dataset = max(run.datasets)
    expected = {
        "scalars": ([f"loss/{dataset}", "rules/empty"], "vz-line-chart2 svg path"),
        "histograms": ([f"loss_histogram/{dataset}", f"loss_by_timestep/{dataset}"], "vz-histogram-timeseries path"),
        "images": (["worst/hard", "worst/caption_mismatch"], "tf-image-loader img"),
        "text": (["flagged_captions/text_summary", "worst/hard/text_summary"], "tf-text-loader td"),
    }
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.goto(f"{tensorboard}#scalars")
    for plugin, (tags, drawn) in expected.items():
        tab.get_by_role("tab", name=re.compile(f"^{plugin}$", re.IGNORECASE)).click()
        for tag in tags:
            expect(tab.get_by_text(f"loss_logging/{tag}", exact=True).first).to_be_attached()
        expect(tab.locator(drawn).first).to_be_visible()
        if plugin == "images":
            loaded = "(image) => image.complete && image.naturalWidth > 100"
            tab.wait_for_function(loaded, arg=tab.locator(drawn).first.element_handle())
        if plugin in ("histograms", "images"):
            keep(tab, f"tensorboard_{plugin}")
    expect(tab.get_by_text(run.worst.hard[0].path[-8:]).first).to_be_attached()
    tab.close()
