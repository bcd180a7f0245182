from __future__ import annotations

import os
from pathlib import Path

import pytest
from configs import build
from hypothesis import given
from hypothesis import strategies as st
from item_reports import save

from loss_logging.errors import LossLoggingError
from loss_logging.runs.locate import find_report, job_of, place_of, save_root_of


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


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), st.integers(0, 10**9))
def test_a_place_has_a_step_or_a_report(job: str, step: int) -> None:
    """Of FOLDER@STEP the folder and the step, of a report's file its job and step, of anything else the place alone."""
    assert place_of(f"nowhere/{job}@{step}") == (f"nowhere/{job}", None, step)
    report = build(job_name=job, save_root="nowhere").report_path(step)
    assert place_of(report) == (str(report.parent), job, step)
    assert job_of(report) == job
    assert place_of(f"nowhere/{job}") == (f"nowhere/{job}", None, None)


def test_a_file_of_another_name_is_no_report() -> None:
    """The error says how reports are called."""
    with pytest.raises(LossLoggingError, match=r"JOB_000000250\.json"):
        job_of(Path("notes.json"))


def test_the_folder_of_ours_leads_to_the_root(tmp_path: Path) -> None:
    """A save_root may itself be called loss_logging."""
    (tmp_path / "loss_logging" / "loss_logging").mkdir(parents=True)
    assert save_root_of(tmp_path / "loss_logging" / "loss_logging") == tmp_path / "loss_logging"
    assert save_root_of(tmp_path / "loss_logging") == tmp_path / "loss_logging"
    assert save_root_of(tmp_path) == tmp_path
