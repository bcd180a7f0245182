"""loss_logging.reports.items and loss_logging.runs.locate"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from item_reports import save

from loss_logging.reports.artifact import ReportError, read_report
from loss_logging.reports.items import read_items
from loss_logging.reports.names import items_path

ODD = ['odd "\\\n,{}.png', '":{"count":', 'a:{"count":1},\n"b":{"count":', "},\n", "long" * 400_000]
LOSSES = {("d", f"{i}.png"): [i / 10] for i in range(5_000)} | {("e", path): [float(i)] for i, path in enumerate(ODD)}


def means(report: Path) -> dict[tuple[str, str], float]:
    rows = [row for batch in read_items(report) for row in batch.to_pylist()]
    return {(row["dataset"], row["path"]): row["average_loss"] for row in rows}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("run"), [LOSSES], items="both")[0]


def test_the_same_from_parquet_and_from_any_json(report: Path, tmp_path: Path) -> None:
    """Items come from Parquet, from the JSON as it is written, and from one that somebody has formatted."""
    expected = {
        (name, path): stats.average_loss
        for name, dataset in read_report(report).datasets.items()
        for path, stats in dataset.item_stats.items()
    }
    assert len(expected) == 5_005
    assert means(report) == expected
    written = tmp_path / "written_000000001.json"
    written.write_bytes(report.read_bytes())
    assert means(written) == expected
    assert max(batch.num_rows for batch in read_items(written)) < 3_000
    for indent in (None, 2):
        formatted = tmp_path / "formatted_000000001.json"
        formatted.write_text(json.dumps(json.loads(report.read_bytes()), indent=indent))
        assert means(formatted) == expected


def test_each_item_is_a_line(report: Path) -> None:
    """The members of ``item_stats`` can be told by their line breaks, whatever is in their texts."""
    items = json.loads(report.read_bytes())["datasets"]["e"]["item_stats"]
    lines = report.read_bytes().partition(b'\n"e":')[2].splitlines()[1:]
    found = [json.loads(b"{%b}}" % line.rstrip(b"},")) for line in lines]
    assert found == [{path: figures} for path, figures in items.items()]


def test_reports_of_before_are_read(report: Path, tmp_path: Path) -> None:
    """Earlier versions put a line break after some thousand items, so that the first line may hold one, or many."""
    expected = means(report)
    for most in (1, 700):
        path = tmp_path / f"before{most}_000000001.json"
        text = report.read_bytes().replace(b'"item_stats":{\n', b'"item_stats":{')
        head, *lines = text.split(b",\n")
        cut = [b",".join(lines[i : i + 700]) for i in range(0, len(lines), 700)]
        path.write_bytes(b",\n".join([head, *cut]) if most == 1 else b",".join([head, *lines]))
        assert means(path) == expected


def test_some_columns_are_those_of_all(report: Path, tmp_path: Path) -> None:
    """Asked for by name, they hold what they hold among the others, from JSON and from Parquet."""
    (tmp_path / "a_000000001.json").write_bytes(report.read_bytes())
    for path in (report, tmp_path / "a_000000001.json"):
        whole, few = pa.Table.from_batches(read_items(path)), ["path", "n_paired", "average_loss", "dataset"]
        some = pa.Table.from_batches(read_items(path, few))
        assert set(some.column_names) == set(few)
        assert some.equals(whole.select(some.column_names))


@pytest.mark.parametrize("cut", [10, 1_000, 400_000])
def test_damage_is_named(report: Path, tmp_path: Path, cut: int) -> None:
    """A JSON or Parquet file that ends too early raises with its name, wherever it ends."""
    for source, name in ((report, "a_000000001.json"), (items_path(report), "b_000000001.items.parquet")):
        path = tmp_path / name
        path.write_bytes(source.read_bytes()[: min(cut, source.stat().st_size - 10)])
        shown = path if path.suffix == ".json" else path.with_name("b_000000001.json")
        with pytest.raises(ReportError, match=path.name):
            means(shown)
