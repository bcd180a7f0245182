from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from built_pages import block, built
from command import loss_logging

from loss_logging.records.log import RecordLog


def test_the_command_fails_in_a_sentence(tmp_path: Path) -> None:
    """Exit status 1, and no traceback."""
    done = loss_logging("html", "none", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "loss-logging: none does not exist; give the save_root of a run\n"


def test_the_command(copy: Path) -> None:
    """It prints where the page is, and --out takes it elsewhere."""
    for argument in ("run", "run/loss_logging/job_000000030.json", "run@30"):
        done = loss_logging("html", argument, "--out", "page.html", cwd=copy.parent)
        assert done.stdout == "page.html\n", done.stderr
        assert "Save step 30" in (copy.parent / "page.html").read_text("utf-8")
        (copy.parent / "page.html").unlink()


@pytest.mark.parametrize("argument", ["run@20", "run/loss_logging/job_000000020.json", "run/loss_logging@20"])
def test_the_page_of_an_earlier_step(argument: str, copy: Path) -> None:
    """It is the one that was there at that step, in a file of its own: nothing on it is later."""
    out_dir = copy / "loss_logging"
    early = copy.parent / "early"
    shutil.copytree(copy, early)
    for path in (early / "loss_logging").glob("job_*30*.json"):
        path.unlink()
    log = RecordLog(early / "loss_logging" / "records" / "job")
    log.truncate(20)
    expected = block(built(early), "histories")
    assert expected
    before = {path: path.read_bytes() for path in out_dir.glob("job.html")}
    done = loss_logging("html", argument, cwd=copy.parent)
    page = out_dir / "job_000000020.html"
    assert Path(done.stdout.strip()) == page, done.stderr
    text = page.read_text("utf-8")
    assert "Save step 20" in text
    assert "Save step 30" not in text
    assert max(block(text, "charts")["steps"]) == 20
    assert block(text, "histories") == expected
    assert {path: path.read_bytes() for path in out_dir.glob("job.html")} == before


def test_a_step_without_a_report(copy: Path) -> None:
    """Which ones there are is said, and the command that makes it."""
    done = loss_logging("html", "run@15", cwd=copy.parent)
    assert done.returncode == 1
    assert "holds no report of step 15; the last ones are of: 10, 20, 30" in done.stderr
    assert "loss-logging report" in done.stderr
