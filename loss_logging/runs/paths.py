"""RunPaths: every place that a run writes to."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loss_logging.reports.names import report_files, report_name

__all__ = ["FOLDER", "RunPaths", "opened_run"]

FOLDER = "loss_logging"
"""The sub-folder of ``save_root``: trainers take files in ``save_root`` itself for their own."""


class RunPaths(msgspec.Struct, frozen=True):
    """The places of the run ``job`` under the folder ``root``, which need not exist.

    Example:
        >>> paths = RunPaths(Path("runs"), "cats")
        >>> paths.report(250).as_posix(), paths.records.as_posix()
        ('runs/loss_logging/cats_000000250.json', 'runs/loss_logging/records/cats')
    """

    root: Path
    job: str

    @property
    def out_dir(self) -> Path:
        """Where everything is written."""
        return self.root / FOLDER

    @property
    def records(self) -> Path:
        """The folder of the record log, and of marks and locks about the run."""
        return self.out_dir / "records" / self.job

    @property
    def page(self) -> Path:
        """The report page."""
        return self.out_dir / f"{self.job}.html"

    @property
    def decisions(self) -> Path:
        """What was decided about images whose own folders cannot be written."""
        return self.out_dir / f"{self.job}_decisions.jsonl"

    def report(self, step: int) -> Path:
        """The JSON report of a save step."""
        return self.out_dir / report_name(self.job, step)

    def reports(self) -> list[Path]:
        """The JSON reports that were written, by step."""
        return report_files(self.out_dir, self.job)

    @property
    def archive(self) -> Path:
        """Where earlier runs of the same name are moved to."""
        return self.out_dir / "archive"

    @property
    def delivered(self) -> Path:
        """The ledgers of the trackers, one for each by name, and what they keep from process to process."""
        return self.out_dir / "delivered" / self.job

    @property
    def tensorboard(self) -> Path:
        """The event files."""
        return self.out_dir / "tensorboard" / self.job

    @property
    def evaluation(self) -> Path:
        """The journal of an evaluation."""
        return self.records / "evaluation"

    @property
    def spill(self) -> Path:
        """What queries put on disk for want of memory."""
        return self.records / ".spill"

    @property
    def run_file(self) -> Path:
        """The identity of the run that rank 0 has opened last; see `opened_run`."""
        return self.records / ".run"

    @property
    def facts(self) -> Path:
        """What the run began with; see `loss_logging.runs.facts`."""
        return self.records / "run.json"

    @property
    def evaluation_mark(self) -> Path:
        """Says that the records are an evaluation's and not a training's; once it is finished, of which model."""
        return self.records / ".evaluation"

    @property
    def writable_probe(self) -> Path:
        """Written once to see whether the folder takes files."""
        return self.records / ".writable"

    @property
    def pictures_mark(self) -> Path:
        """Says that pictures are being made; it stays where making them ended the process."""
        return self.records / ".pictures"

    @property
    def rivals(self) -> Path:
        """The rivals that were found beside training; see `loss_logging.training.rivals`."""
        return self.records / ".rivals.parquet"

    @property
    def uploaded(self) -> Path:
        """The versions of the run that this folder has sent to the object store, or come from."""
        return self.records / ".uploaded"

    @property
    def growing(self) -> Path:
        """The copy of a file that grows while it is uploaded."""
        return self.records / ".growing"

    @property
    def uploading_lock(self) -> Path:
        """Held by the one process that uploads."""
        return self.records / ".uploading.lock"


def opened_run(paths: RunPaths) -> str | None:
    """The identity of the run that rank 0 has opened last; None while it puts the folder in order."""
    try:
        return paths.run_file.read_text("utf-8")
    except FileNotFoundError:
        return None
