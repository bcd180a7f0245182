from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from loss_logging.reports.names import by_step, items_path, job_and_step, report_files, report_name

JOBS = st.text(st.characters(categories=["L", "N"], include_characters="_-. "), min_size=1, max_size=12)


@given(JOBS, st.integers(0, 10**12))
def test_a_name_says_job_and_step(job: str, step: int) -> None:
    """Also where the job has underscores and numbers in its own name, and the step more than nine digits."""
    name = report_name(job, step)
    assert job_and_step(f"runs/{name}") == (job, step)
    assert job_and_step(items_path(Path(name))) is None


def test_reports_come_by_job_and_step(tmp_path: Path) -> None:
    """By number and not by letter; what is called otherwise is no report."""
    for job, step in (("b", 5), ("a", 10**10), ("a", 5)):
        (tmp_path / report_name(job, step)).write_text("{}")
    for name in ("a_5.json", "a_000000005.html", "a_000000005.items.parquet", "notes.json"):
        (tmp_path / name).write_text("")
    assert [path.name for path in report_files(tmp_path)] == [
        "a_000000005.json",
        "a_10000000000.json",
        "b_000000005.json",
    ]
    assert list(by_step(report_files(tmp_path, "a"))) == [5, 10**10]
