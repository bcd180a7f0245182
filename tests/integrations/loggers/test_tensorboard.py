"""The TensorBoard backend, read back from its event files."""

from __future__ import annotations

import html
import io
import json
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec
import pytest
from event_files import read, scalars
from PIL import Image
from sample_report import HOSTILE
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend
from loss_logging.reports.report import DatasetReport, Job, LossReport, Summary, TimestepCurve
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.pictures import PIXELS

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of the html5lib that TensorBoard brings along
    from tensorboard.plugin_util import markdown_to_safe_html
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

MakeReport = Callable[[int], LossReport]


def text(events: EventAccumulator, tag: str, index: int = -1) -> str:
    (value,) = events.Tensors(f"{tag}/text_summary")[index].tensor_proto.string_val
    return str(value, "utf-8")


def check_everything(events: EventAccumulator, reports: list[LossReport]) -> None:
    assert scalars(events, "loss_logging/rules/short") == [(report.job.step, 7.0) for report in reports]
    shown = events.Histograms("loss_logging/loss_histogram/cats")
    assert [event.step for event in shown] == [report.job.step for report in reports]
    for event, report in zip(shown, reports, strict=True):
        histogram = report.histograms["loss_logging/loss_histogram/cats"]
        assert event.histogram_value.bucket == histogram.counts
        assert [event.histogram_value.min, *event.histogram_value.bucket_limit] == histogram.edges
    curve = events.Histograms("loss_logging/loss_by_timestep/cats")[-1].histogram_value
    assert curve.bucket == [0.25, 0.0, 0.75 + reports[-1].job.step]
    assert curve.bucket_limit == [250, 500, 1000]
    assert "| cats | 1&#46;png | a cat | 2.5 | 3 | 0.75 |" in text(events, "loss_logging/worst/hard")


def test_own_files_hold_what_was_logged(config: TrainConfig, make_report: MakeReport) -> None:
    """Scalars, histograms, curves and tables come back from the default folder with the logged values and steps."""
    backend = TensorBoardBackend.from_config(config)
    backend.write_scalars(50, {"loss_logging/loss/cats": 0.25})
    backend.write_scalars(100, {"loss_logging/loss/cats": 0.125})
    reports = [make_report(150), make_report(300)]
    for report in reports:
        backend.write(report)
    backend.close()
    events = read(Path(config.save_root) / "loss_logging" / "tensorboard" / "cats")
    assert scalars(events, "loss_logging/loss/cats") == [(50, 0.25), (100, 0.125), (150, 150.5), (300, 300.5)]
    check_everything(events, reports)


def test_a_report_is_on_disk_before_the_backend_is_closed(config: TrainConfig, make_report: MakeReport) -> None:
    """What was written survives a kill: it can be read while the backend is still open."""
    backend = TensorBoardBackend.from_config(config)
    backend.write(make_report(10))
    backend.write_scalars(20, {"loss_logging/loss/cats": 0.25})
    events = read(Path(config.save_root) / "loss_logging" / "tensorboard" / "cats")
    check_everything(events, [make_report(10)])
    assert scalars(events, "loss_logging/loss/cats")[-1] == (20, 0.25)
    backend.close()


def test_a_resumed_run_replaces_what_came_after(config: TrainConfig) -> None:
    """After resuming at step 20 the later steps that the first run wrote are gone, the earlier ones stay."""
    first = TensorBoardBackend.from_config(config)
    for step in (10, 20, 30):
        first.write_scalars(step, {"x": 1.0})
    first.close()
    resumed = TensorBoardBackend.from_config(config)
    assert resumed.forget_after(20)
    for step in (25, 27):
        resumed.write_scalars(step, {"x": 2.0})
    resumed.close()
    events = read(Path(config.save_root) / "loss_logging" / "tensorboard" / "cats")
    assert scalars(events, "x") == [(10, 1.0), (20, 1.0), (25, 2.0), (27, 2.0)]


def test_what_another_process_adds_hides_nothing(config: TrainConfig) -> None:
    """Without a word about resuming, what is written later leaves what is there alone, whatever its step."""
    for steps in ((10, 20, 30), (40,)):
        backend = TensorBoardBackend.from_config(config)
        for step in steps:
            backend.write_scalars(step, {"x": 1.0})
        backend.close()
    late = TensorBoardBackend.from_config(config)
    late.backfill(25)
    late.write_scalars(25, {"x": 3.0})
    late.close()
    folder = Path(config.save_root) / "loss_logging" / "tensorboard" / "cats"
    written = [(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0)]
    assert scalars(read(folder / "missed_000000025"), "x") == [(25, 3.0)]
    (folder / "missed_000000025").rename(Path(config.save_root) / "elsewhere")
    assert scalars(read(folder), "x") == written


@pytest.mark.parametrize("module", ["torch.utils.tensorboard", "tensorboardX"])
def test_borrowed_writer_stays_the_trainers(module: str, tmp_path: Path, make_report: MakeReport) -> None:
    """In the trainer's SummaryWriter our values appear, its own rows are intact, and it stays open after our close."""
    writer_class: Any = pytest.importorskip(module).SummaryWriter
    writer = writer_class(str(tmp_path / "runs"))
    backend = TensorBoardBackend(writer=writer)
    reports = [make_report(2), make_report(4)]
    for step in range(5):
        writer.add_scalar("train/loss", 1.0 / (step + 1), step)
        if step in (2, 4):
            backend.write(reports[step // 2 - 1])
    backend.close()
    writer.add_scalar("train/loss", 0.5, 5)
    writer.close()
    events = read(tmp_path / "runs")
    expected = [(step, 1.0 / (step + 1)) for step in range(5)]
    assert scalars(events, "train/loss") == [*expected, (5, 0.5)]
    check_everything(events, reports)


@pytest.mark.parametrize("module", ["torch.utils.tensorboard", "tensorboardX"])
def test_datasets_stay_apart_in_a_borrowed_writer(module: str, tmp_path: Path) -> None:
    """Names that tensorboardX would make one, as it writes "_" for what it does not take, are two."""
    writer: Any = pytest.importorskip(module).SummaryWriter(str(tmp_path))
    backend = TensorBoardBackend(writer=writer)
    names = ["my cats", "my_cats", "my|cats", "猫", "my.cats"]
    backend.write_scalars(1, {f"loss_logging/loss/{name}": float(place) for place, name in enumerate(names)})
    writer.close()
    events = read(tmp_path)
    tags = events.Tags()["scalars"]
    assert sorted(event.value for tag in tags for event in events.Scalars(tag)) == [0, 1, 2, 3, 4]
    assert {f"loss_logging/loss/{name}" for name in ("my_cats", "猫", "my.cats")} < set(tags)


def test_what_float32_does_not_hold_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A curve has no point at infinity where a loss of float64 is finite, and a warning names it once."""
    backend = TensorBoardBackend(log_dir=tmp_path)
    for step, loss in enumerate((0.5, 1e39, -1e39, 3e38, 1e-50), 1):
        backend.write_scalars(step, {"loss_logging/loss/cats": loss})
    backend.close()
    assert scalars(read(tmp_path), "loss_logging/loss/cats") == [(1, 0.5), (4, 3e38), (5, 0.0)]
    assert [record.message for record in caplog.records if "loss_logging/loss/cats" in record.message] == [
        "TensorBoard holds no number beyond 3.4e+38: loss_logging/loss/cats is 1e+39 at step 2, "
        "and such points are left out"
    ]


def test_hostile_captions_are_inert_and_shown(config: TrainConfig, make_report: MakeReport) -> None:
    """As TensorBoard renders the table, a caption is plain text in its own cell, cut where it is long."""
    backend = TensorBoardBackend.from_config(config)
    backend.write(make_report(1))
    backend.close()
    events = read(Path(config.save_root) / "loss_logging" / "tensorboard" / "cats")
    source = text(events, "loss_logging/flagged_captions")
    assert len(source) < 20_000
    rendered = str(markdown_to_safe_html(source))
    assert set(re.findall(r"<(\w+)", rendered)) == {"table", "thead", "tbody", "tr", "th", "td"}
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", rendered, re.DOTALL)[1:]]
    captions = [html.unescape(row[2]) for row in rows]
    assert len(captions) == config.max_table_rows
    shown = len(captions[5])
    assert captions[5] == "x" * (shown - 1) + "…"
    texts = [*HOSTILE[:4], "lone \ufffd surrogate, nul \ufffd, markers \ufffdklzzwxh:0000\ufffd"]
    for caption, text_ in zip(captions[:5], texts, strict=True):
        whole = " ".join(text_.split())
        assert caption == (whole if len(whole) <= shown else whole[: shown - 1] + "…")
    widest = max(sum(len(html.unescape(cell)) + 4 for cell in row) for row in rows)
    assert widest <= 108, "in a line that is longer TensorBoard breaks words"


@pytest.mark.parametrize("module", [None, "torch.utils.tensorboard", "tensorboardX"])
def test_pictures(module: str | None, config: TrainConfig, tmp_path: Path, pictured: LossReport) -> None:
    """The pictures of a ranking are one image, in files of our own as in a trainer's writer; a missing one is grey."""
    writer = None if module is None else pytest.importorskip(module).SummaryWriter(str(tmp_path))
    backend = TensorBoardBackend.from_config(config, log_dir=tmp_path if writer is None else None, writer=writer)
    backend.write(pictured)
    backend.close()
    if writer is not None:
        writer.close()
    (event,) = read(tmp_path).Images("loss_logging/worst/hard")
    assert event.step == 150
    image = Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB")
    assert image.size == (event.width, event.height)
    assert image.width == 2 * (PIXELS + 8) + 8
    red, grey = (image.getpixel((8 + PIXELS // 2 + i * (PIXELS + 8), 8 + PIXELS // 2 + 12)) for i in range(2))
    assert red == pytest.approx((255, 0, 0), abs=20)
    assert grey == pytest.approx((225, 225, 225), abs=20)
    assert len(event.encoded_image_string) < 20_000


def test_fewer_rows_than_pictures(tmp_path: Path, pictured: LossReport) -> None:
    """Where tables are cut below the ranking, its pictures are, too, and all other data of the report arrive."""
    backend = TensorBoardBackend(log_dir=tmp_path)
    backend.write(msgspec.structs.replace(pictured, config={"max_table_rows": 1}))
    backend.close()
    events = read(tmp_path)
    (event,) = events.Images("loss_logging/worst/hard")
    assert event.width == PIXELS + 16
    assert text(events, "loss_logging/worst/hard").count("\n") == 2


@pytest.mark.parametrize("options", [{}, {"writer": object(), "log_dir": "x"}])
def test_one_destination(options: dict[str, Any]) -> None:
    """Neither or both of writer and log_dir is an error that names them."""
    with pytest.raises(ValueError, match=r"writer .* or log_dir"):
        TensorBoardBackend(**options)


def test_one_chart_has_the_losses_of_all_datasets(config: TrainConfig, make_report: MakeReport) -> None:
    """The layout of "custom scalars" names our scalars, and only in files of our own: a trainer may have its own."""
    backend = TensorBoardBackend.from_config(config)
    backend.write(make_report(1))
    backend.close()
    events = read(Path(config.save_root) / "loss_logging" / "tensorboard" / "cats")
    (event,) = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    (category,) = layout.category
    charts = {chart.title: re.compile(chart.multiline.tag[0]) for chart in category.chart}
    tags = [
        "loss_logging/loss/wrong",
        "loss_logging/rules/short",
        "loss_logging/wrong/very_likely_wrong/cats",
        "train/loss",
    ]
    assert [[tag for tag in tags if pattern.match(tag)] for pattern in charts.values()] == [[tag] for tag in tags[:3]]
    assert min(tag for tag in events.Tags()["scalars"]) == "loss_logging/loss/cats", "the losses come first"


@pytest.mark.parametrize("load_fast", ["true", pytest.param("false", marks=pytest.mark.long)])
def test_bars_lie_where_they_were_logged(load_fast: str, tmp_path: Path, config: TrainConfig) -> None:
    """Timesteps of 400 to 600 alone are shown there, with and without TensorBoard's data server; so are inner gaps."""
    curve = TimestepCurve([100.0 * i for i in range(11)], [0] * 10, [None] * 4 + [0.5, 0.25] + [None] * 4)
    gap = TimestepCurve([0.0, 1.0, 2.0, 3.0, 4.0], [0] * 4, [None, 0.5, None, 0.25])
    nothing = TimestepCurve([0.0, 1.0], [0], [None])
    summary = Summary(0, None, None, None, None, None, 0, {})
    datasets = {
        name: DatasetReport(msgspec.structs.replace(summary, loss_by_timestep=curve))
        for name, curve in (("middle", curve), ("gap", gap), ("nothing", nothing))
    }
    backend = TensorBoardBackend(log_dir=tmp_path / "run")
    for step in (1, 2):
        backend.write(LossReport(job=Job("job", step, ""), global_=summary, datasets=datasets))
    backend.close()
    with served(tmp_path, load_fast) as address:
        shown = {name: bars(address, f"loss_logging/loss_by_timestep/{name}") for name in ("middle", "gap")}
    assert shown["middle"] == [[400, 500, 0.5], [500, 600, 0.25]]
    assert shown["gap"] == [[1, 2, 0.5], [2, 3, 0.0], [3, 4, 0.25]]


@contextmanager
def served(log_dir: Path, load_fast: str) -> Iterator[str]:
    """The address of TensorBoard itself over a folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", log_dir, "--port", "0", "--load_fast", load_fast]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)))
            yield found[0]
        finally:
            process.terminate()
            process.stderr.read()  # or it waits for a reader before it ends


def bars(address: str, tag: str) -> list[list[float]]:
    """Left, right and height of the bars of the last step, as TensorBoard's page gets them."""
    url = f"{address}data/plugin/histograms/histograms?{urlencode({'run': 'run', 'tag': tag})}"
    deadline = time.monotonic() + 120
    while True:  # it loads while it answers
        try:
            with urlopen(url) as answer:
                points = json.load(answer)
        except HTTPError:
            points = []
        if len(points) == 2:
            return [[round(value, 6) for value in bar] for bar in points[-1][2]]
        assert time.monotonic() < deadline, f"TensorBoard does not show {tag}"
        time.sleep(0.1)
