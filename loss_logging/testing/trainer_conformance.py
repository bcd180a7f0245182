"""What every adapter of a trainer promises, as tests. See :mod:`loss_logging.testing` for how to run them on yours."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from loss_logging.reports.artifact import read_report
from loss_logging.reports.report import LossReport
from loss_logging.testing.trainer import RANKS, TrainerSubject, bits, last_report, records


def test_the_weights_are_the_same_with_and_without(loss_logging_trainer_subject: TrainerSubject) -> None:
    """The training does not notice: weights and the trainer's own losses are equal, to the bit."""
    subject = loss_logging_trainer_subject
    plain = subject.train("plain")
    watched = subject.train("watched", subject.config("watched", paired_fraction=0.0))
    assert bits(watched.weights) == bits(plain.weights)
    assert dict(watched.scalars) == dict(plain.scalars)
    assert bits(plain.weights) != bits(subject.train("shorter", steps=1).weights), "nothing was trained"


def test_the_mean_is_the_trainers_scalar(loss_logging_trainer_subject: TrainerSubject) -> None:
    """At each step the mean of the examples' losses, weighted as the trainer weighs them, is the loss of the step."""
    subject = loss_logging_trainer_subject
    config = subject.config("run")
    trained = subject.train("run", config)
    steps = defaultdict(list)
    for row in records(config):
        weight = dict(row["components"])[trained.weight] if trained.weight else 1.0
        steps[row["step"]].append((row["loss"], weight))
    assert sorted(steps) == sorted(trained.scalars)
    for step, scalar in trained.scalars.items():
        total = sum(weight for _, weight in steps[step])
        assert sum(loss * weight for loss, weight in steps[step]) / total == pytest.approx(scalar, rel=1e-4), step


def test_every_example_is_logged_under_its_name(loss_logging_trainer_subject: TrainerSubject) -> None:
    """There are as many records as examples were trained on; each has a path and a dataset, and paths differ."""
    subject = loss_logging_trainer_subject
    config = subject.config("run")
    trained = subject.train("run", config)
    rows = records(config)
    assert len(rows) == trained.examples
    assert all(row["path"] and row["dataset"] for row in rows)
    assert len({row["path"] for row in rows}) > 1


def test_a_report_is_made_at_each_checkpoint(loss_logging_trainer_subject: TrainerSubject) -> None:
    """Where the trainer saves there is a report; the last one is of everything, and warns of nothing."""
    subject = loss_logging_trainer_subject
    config = subject.config("run")
    trained = subject.train("run", config)
    assert {4, 8} <= {read_report(path).job.step for path in config.report_paths()}
    report = last_report(config)
    assert report.global_.count == trained.examples
    assert report.warnings == []


def test_what_is_not_logged_is_counted(loss_logging_trainer_subject: TrainerSubject) -> None:
    """A step whose loss the adapter does not understand trains as it would, and the report counts its examples."""
    subject = loss_logging_trainer_subject
    plain = subject.train("plain", unknown=True)
    config = subject.config("run")
    trained = subject.train("run", config, unknown=True)
    assert bits(trained.weights) == bits(plain.weights)
    missing = trained.examples - len(records(config))
    assert missing > 0, "with unknown=True the loss of step 2 is one that the adapter cannot tell the examples of"
    said = " ".join(last_report(config).warnings)
    assert sum(map(int, re.findall(r"(\d+) examples", said))) == missing, said


def test_a_run_that_goes_on(loss_logging_trainer_subject: TrainerSubject) -> None:
    """From a checkpoint before its end, the log has each step once, and the weights are those without us."""
    subject = loss_logging_trainer_subject
    subject.train("plain", steps=6)
    plain = subject.train("plain", resume_from=4)
    config = subject.config("run")
    subject.train("run", config, steps=6)
    trained = subject.train("run", config, resume_from=4)
    assert bits(trained.weights) == bits(plain.weights)
    whole = subject.config("whole")
    subject.train("whole", whole)
    assert _examples_by_step(records(config)) == _examples_by_step(records(whole))
    assert last_report(config).job.resumed_from == 4


def test_several_ranks_report_as_one(loss_logging_trainer_subject: TrainerSubject) -> None:
    """In two processes, which know their rank from RANK and WORLD_SIZE, each logs, and rank 0's report is of both."""
    subject = loss_logging_trainer_subject
    config = subject.config("ranks")
    trained = subject.train_ranks("ranks", config)
    report = last_report(config)
    assert report.job.world_size == RANKS
    assert report.global_.count == sum(rank["examples"] for rank in trained)
    assert report.warnings == []


def test_a_tracker_that_fails_is_not_noticed(loss_logging_trainer_subject: TrainerSubject) -> None:
    """With a tracker that raises at every call, the training goes on to its end, with the same weights."""
    subject = loss_logging_trainer_subject
    plain = subject.train("plain")
    watched = subject.train("run", subject.config("run", loggers=[_Broken()]))
    assert bits(watched.weights) == bits(plain.weights)


def test_switched_off_it_leaves_nothing(loss_logging_trainer_subject: TrainerSubject) -> None:
    """With a configuration that logs nothing there is no folder and no file, and the weights are the same."""
    subject = loss_logging_trainer_subject
    plain = subject.train("plain")
    config = subject.config("run", log_per_example=False, log_per_dataset=False)
    assert bits(subject.train("run", config).weights) == bits(plain.weights)
    assert not config.out_dir.exists()


def _examples_by_step(rows: list[dict[str, Any]]) -> Counter[int]:
    return Counter(row["step"] for row in rows)


class _Broken:
    """A tracker that is out of order."""

    name = "broken"

    def write(self, report: LossReport) -> None:
        raise RuntimeError(f"out of order at step {report.job.step}")

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        raise RuntimeError(f"out of order at step {step}, for {len(scalars)} values")

    def close(self) -> None:
        raise RuntimeError("out of order")
