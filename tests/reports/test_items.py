"""loss_logging.reports.items and loss_logging.runs.locate"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from item_reports import save

from loss_logging.errors import LossLoggingError
from loss_logging.reports.artifact import ReportError, read_report
from loss_logging.reports.items import read_items
from loss_logging.reports.names import items_path
from loss_logging.runs.locate import find_report

LOSSES = {("d", f"{i}.png"): [i / 10] for i in range(5_000)} | {("e", 'odd "\\\n,{}.png'): [1.0]}


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
    assert len(expected) == 5_001
    assert means(report) == expected
    written = tmp_path / "written_000000001.json"
    written.write_bytes(report.read_bytes())
    assert means(written) == expected
    assert max(batch.num_rows for batch in read_items(written)) < 3_000
    for indent in (None, 2):
        formatted = tmp_path / "formatted_000000001.json"
        formatted.write_text(json.dumps(json.loads(report.read_bytes()), indent=indent))
        assert means(formatted) == expected


@pytest.mark.parametrize("cut", [10, 1_000, 400_000])
def test_damage_is_named(report: Path, tmp_path: Path, cut: int) -> None:
    """A JSON or Parquet file that ends too early raises with its name, wherever it ends."""
    for source, name in ((report, "a_000000001.json"), (items_path(report), "b_000000001.items.parquet")):
        path = tmp_path / name
        path.write_bytes(source.read_bytes()[: min(cut, source.stat().st_size - 10)])
        shown = path if path.suffix == ".json" else path.with_name("b_000000001.json")
        with pytest.raises(ReportError, match=path.name):
            means(shown)


def test_find_report(tmp_path: Path) -> None:
    """A file, a save_root, its loss_logging, and either with a save step mean a report; a job can be named."""
    first, second = save(tmp_path, [{("d", "1.png"): [1.0]}, {("d", "1.png"): [1.0]}])
    (other,) = save(tmp_path, [{("d", "1.png"): [1.0] * 3}], job="other")
    os.utime(second, (2e9, 2e9))
    out_dir = tmp_path / "loss_logging"
    assert find_report(first) == first
    assert find_report(tmp_path) == find_report(out_dir) == second
    assert find_report(f"{tmp_path}@1") == find_report(f"{out_dir}@000001") == first
    assert find_report(tmp_path, "other") == find_report(f"{tmp_path}@3", "other") == other
    with pytest.raises(LossLoggingError, match="no report of step 7; the last ones are of: 1, 2"):
        find_report(f"{tmp_path}@7")
    with pytest.raises(LossLoggingError, match="there are: job, other"):
        find_report(tmp_path, "jbo")
    with pytest.raises(LossLoggingError, match="holds no report"):
        find_report(tmp_path / "loss_logging" / "records")


def test_a_folder_with_an_at_sign(tmp_path: Path) -> None:
    """A folder of such a name is a folder, not a step."""
    (report,) = save(tmp_path / "run@5", [{("d", "1.png"): [1.0]}])
    assert find_report(tmp_path / "run@5") == report
