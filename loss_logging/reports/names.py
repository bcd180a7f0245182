"""The names of a report's files: ``{job}_{step:09d}.json``, and ``.items.parquet`` beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["by_step", "items_path", "job_and_step", "report_files", "report_name"]


def report_name(job: str, step: int) -> str:
    """The name of the JSON report of a save step.

    >>> report_name("cats", 250)
    'cats_000000250.json'
    """
    return f"{job}_{step:09d}.json"


def job_and_step(report: str | Path) -> tuple[str, int] | None:
    """The job and the save step in the name of a report; None for any other name.

    >>> job_and_step("runs/big_cats_000000250.json"), job_and_step("cats.json"), job_and_step("cats_250.html")
    (('big_cats', 250), None, None)
    """
    path = Path(report)
    job, _, step = path.stem.rpartition("_")
    return (job, int(step)) if path.suffix == ".json" and job and len(step) >= 9 and step.isdecimal() else None


def report_files(folder: Path, job: str | None = None) -> list[Path]:
    """The JSON reports in ``folder``, of one job or of all, by job and step."""
    found = ((job_and_step(path), path) for path in folder.glob("*_*.json"))
    return [path for named, path in sorted((named, path) for named, path in found if named) if job in (None, named[0])]


def by_step(reports: Iterable[Path]) -> dict[int, Path]:
    """Reports of one job by their save step.

    >>> by_step([Path("cats_000000250.json")])  # doctest: +ELLIPSIS
    {250: ...Path('cats_000000250.json')}
    """
    return {named[1]: path for path in reports if (named := job_and_step(path))}


def items_path(report: Path) -> Path:
    """The path of the items' figures, beside a JSON report that does not hold them.

    >>> items_path(Path("cats_000000250.json")).name
    'cats_000000250.items.parquet'
    """
    return report.with_name(f"{report.stem}.items.parquet")
