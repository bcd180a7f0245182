"""RunPaths: the paths of all files of a run."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loss_logging.reports.names import report_files, report_name

__all__ = ["FOLDER", "RunPaths", "opened_run"]

FOLDER = "loss_logging"
"""The sub-folder of ``save_root``, as trainers read files in ``save_root`` itself."""


class RunPaths(msgspec.Struct, frozen=True):
    """The paths of the run ``job`` under the folder ``root``, which need not exist.

    Example:
        >>> paths = RunPaths(Path("runs"), "cats")
        >>> paths.report(250).as_posix(), paths.records.as_posix()
        ('runs/loss_logging/cats_000000250.json', 'runs/loss_logging/records/cats')
    """

    root: Path
    job: str

    @property
    def out_dir(self) -> Path:
        """The folder of all files."""
        return self.root / FOLDER

    @property
    def records(self) -> Path:
        """The folder of the record log, and of the run's marks and locks."""
        return self.out_dir / "records" / self.job

    @property
    def page(self) -> Path:
        """The report page."""
        return self.out_dir / f"{self.job}.html"

    @property
    def decisions(self) -> Path:
        """The decisions about images whose own folders are not writable."""
        return self.out_dir / f"{self.job}_decisions.jsonl"

    def report(self, step: int) -> Path:
        """The JSON report of a save step."""
        return self.out_dir / report_name(self.job, step)

    def reports(self) -> list[Path]:
        """The existing JSON reports, in the order of their steps."""
        return report_files(self.out_dir, self.job)

    @property
    def archive(self) -> Path:
        """The folder that earlier runs of the same name are moved to."""
        return self.out_dir / "archive"

    @property
    def delivered(self) -> Path:
        """The folder of the trackers' ledgers, one per name, and of the data that trackers keep between processes."""
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
        """The folder for data of queries that do not fit into memory."""
        return self.records / ".spill"

    @property
    def run_file(self) -> Path:
        """The file with the identity of the run that rank 0 opened last; see `opened_run`."""
        return self.records / ".run"

    @property
    def facts(self) -> Path:
        """The facts at the start of the run; see `loss_logging.runs.facts`."""
        return self.records / "run.json"

    @property
    def evaluation_mark(self) -> Path:
        """A mark that the records come from an evaluation, not from a training; after its end, with the model."""
        return self.records / ".evaluation"

    @property
    def writable_probe(self) -> Path:
        """A file that is written once to test whether the folder is writable."""
        return self.records / ".writable"

    @property
    def pictures_mark(self) -> Path:
        """A mark that pictures are being made; it stays if their making ended the process."""
        return self.records / ".pictures"

    @property
    def rivals(self) -> Path:
        """The rivals that were found beside training; see `loss_logging.training.rivals`."""
        return self.records / ".rivals.parquet"

    @property
    def uploaded(self) -> Path:
        """The versions of the run that this folder has uploaded to the object store, or was copied from."""
        return self.records / ".uploaded"

    @property
    def growing(self) -> Path:
        """A copy of a file that grows during its upload."""
        return self.records / ".growing"

    @property
    def uploading_lock(self) -> Path:
        """The lock of the process that uploads."""
        return self.records / ".uploading.lock"


def opened_run(paths: RunPaths) -> str | None:
    """The identity of the run that rank 0 opened last; None while rank 0 prepares the folder."""
    try:
        return paths.run_file.read_text("utf-8")
    except FileNotFoundError:
        return None
