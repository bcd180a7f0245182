"""What an installation must do with the core's requirements alone: run by a release, in an empty folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import loss_logging
from loss_logging import LossLogger, read_report


def main(version: str) -> None:
    assert loss_logging.__version__ == version
    assert Path(loss_logging.__file__).is_relative_to(sys.prefix), loss_logging.__file__
    with LossLogger(job_name="cats", save_root="run", loggers=[]) as losses:  # the reporter is a process of its own
        for step in (1, 2):
            losses.log_batch(step, [0.25, 0.75], paths=["1.png", "2.png"], datasets="pets", captions=["a cat", ""])
            saved = losses.save_step(step)
        report = read_report(saved.result(timeout=120))
    assert (report.global_.count, report.global_.mean, report.warnings) == (4, 0.5, []), report
    Path("pets").mkdir()
    Path("pets/1.png").touch()
    Path("pets/1.txt").write_text("a cat on a sofa", "utf-8")
    on_a_run = ("show run", "compare run@1 run@2", "export run --to csv")
    for arguments in ("--version", "doctor", "check-captions pets", *on_a_run):
        subprocess.run([Path(sys.executable).with_name("loss-logging"), *arguments.split()], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
