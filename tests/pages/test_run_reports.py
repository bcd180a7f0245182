from __future__ import annotations

from pathlib import Path

import msgspec
from configs import build
from shown import report, write

from loss_logging.pages.run_reports import RunReports


def test_each_file_is_decoded_once_and_bad_ones_are_named(tmp_path: Path) -> None:
    """By step; a file that is no report is a sentence, one that has changed is read again, one that is gone is gone."""
    config = build(save_root=tmp_path)
    folder = config.paths.out_dir
    for step in (10, 9, 30):
        write(report(step=step), folder)
    (folder / "job_000000040.json").write_text("{")
    read = RunReports(config)
    reports, problems = read()
    assert [one.job.step for one in reports] == [9, 10, 30]
    (problem,) = problems
    assert problem.startswith("job_000000040.json is left out: ")
    again, _ = read()
    assert all(one is other for one, other in zip(reports, again, strict=True))
    write(report("another caption", step=10), folder)
    (folder / "job_000000009.json").unlink()
    changed, _ = read()
    assert [one.job.step for one in changed] == [10, 30]
    assert changed[0].flagged[0].caption == "another caption"


def test_a_page_of_an_earlier_step_reads_no_later_report(tmp_path: Path) -> None:
    """And one that was written just now need not be read."""
    config = build(save_root=tmp_path)
    for step in (10, 20):
        write(report(step=step), config.paths.out_dir)
    read = RunReports(config, through=10)
    given = msgspec.structs.replace(report("given", step=10))
    read.add(given)
    reports, _ = read()
    assert reports == [given]
