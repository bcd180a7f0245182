"""loss_logging/trackers/ledger.py: what survives, what is forgotten, and what trouble does."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging import TrainConfig
from loss_logging.trackers import ledger
from loss_logging.trackers.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger that does not exist yet."""
    return tmp_path / "delivered" / "cats" / "tensorboard.ledger"


class Hides:
    """A backend that can hide what it has, or cannot."""

    def __init__(self, can: bool) -> None:
        self.can = can
        self.asked: list[int] = []

    def forget_after(self, step: int) -> bool:
        self.asked.append(step)
        return self.can


def filled(path: Path) -> Ledger:
    found = Ledger(path)
    found.begin(Hides(can=True))
    for step in (10, 20, 30):
        found.add_scalars(step)
    found.add_report(25)
    found.add_report(50)
    return found


def test_another_process_reads_what_was_noted(path: Path) -> None:
    """Reports and rows are there again, apart from each other."""
    filled(path)
    again = Ledger(path)
    assert (again.reports, again.scalars, again.last) == ({25, 50}, {10, 20, 30}, 50)
    assert again.had_before(25, is_report=True)
    assert not again.had_before(25, is_report=False)
    assert not again.had_before(60, is_report=True)


def test_what_is_noted_now_may_come_again_now(path: Path) -> None:
    """Only what an earlier process delivered is refused: a save step may be repeated with more records."""
    first = filled(path)
    assert not first.had_before(50, is_report=True)


@given(cut=st.integers(1, 12), step=st.integers(100, 10**12))
def test_a_torn_line_counts_for_nothing(tmp_path_factory: pytest.TempPathFactory, cut: int, step: int) -> None:
    """A line that a killed process left without its end is ignored, and the next line does not join it."""
    path = tmp_path_factory.mktemp("torn") / "x.ledger"
    filled(path)
    whole = path.read_bytes()
    line = f"report {step}\n".encode()
    path.write_bytes(whole + line[: min(cut, len(line) - 1)])
    torn = Ledger(path)
    assert torn.reports == {25, 50}
    torn.add_report(75)
    assert Ledger(path).reports == {25, 50, 75}
    assert path.read_bytes() == whole + b"report 75\n"


@pytest.mark.parametrize("can", [True, False])
def test_resuming_forgets_what_can_be_hidden(path: Path, can: bool) -> None:
    """The backend is asked once; what it hides is delivered again, what it cannot hide is not."""
    filled(path)
    Ledger(path).resumed(20)
    resumed = Ledger(path)
    assert resumed.is_missing(25, is_report=True)
    assert resumed.last == 20
    backend = Hides(can)
    resumed.begin(backend)
    assert backend.asked == [20]
    assert resumed.had_before(30, is_report=False) is not can
    assert resumed.had_before(20, is_report=False)
    later = Hides(can)
    Ledger(path).begin(later)
    assert later.asked == []
    assert Ledger(path).reports == (set() if can else {25, 50})
    assert Ledger(path).resumed_from == {20}


def test_resumed_twice_before_anything_was_delivered(path: Path) -> None:
    """The earlier of two steps counts."""
    filled(path)
    Ledger(path).resumed(20)
    Ledger(path).resumed(40)
    backend = Hides(can=True)
    Ledger(path).begin(backend)
    assert backend.asked == [20]


def test_a_new_run_hides_what_an_older_one_left(path: Path) -> None:
    """Without a ledger the backend is asked to forget everything, once."""
    backend = Hides(can=True)
    Ledger(path).begin(backend)
    Ledger(path).begin(backend)
    assert backend.asked == [-1]


def test_a_run_of_one_name_is_started_over_or_evaluated_again(tmp_path: Path) -> None:
    """forget() forgets all; allow_again() lets everything come once more and still knows what has arrived."""
    config = TrainConfig(job_name="[cats] *", save_root=tmp_path)
    filled(Ledger.of(config, "package.module:Class").path)
    ledger.allow_again(config)
    again = Ledger.of(config, "package.module:Class")
    assert not again.had_before(25, is_report=True)
    assert not again.is_missing(25, is_report=True)
    ledger.forget(config)
    assert Ledger.of(config, "package.module:Class").reports == set()


def test_what_cannot_arrive_is_tried_once(path: Path) -> None:
    """The rest is tried again only after something has arrived in between."""
    assert filled(path).note_attempt()
    assert not Ledger(path).note_attempt()
    Ledger(path).add_report(75)
    assert Ledger(path).note_attempt()


@pytest.mark.parametrize("trouble", ["folder", "link"])
def test_trouble_is_warned_about_once(path: Path, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """A ledger that cannot be written hurts nothing, is said once, and nothing is hidden on its word; no link is
    followed."""
    target = path.parents[2] / "precious"
    target.write_text("mine")
    path.parent.mkdir(parents=True)
    if trouble == "folder":
        path.mkdir()
    else:
        path.symlink_to(target.with_name("nothing there yet"))
    backend = Hides(can=True)
    broken = Ledger(path)
    broken.begin(backend)
    broken.add_report(1)
    broken.add_report(2)
    assert (backend.asked, broken.reports) == ([], {1, 2})
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "cannot note deliveries" in warnings[0].getMessage()
    assert not target.with_name("nothing there yet").exists()


def test_backends_of_any_name_stay_in_their_folder(tmp_path: Path) -> None:
    """No name of a backend leads out of the job's folder."""
    config = TrainConfig(job_name="cats", save_root=tmp_path)
    for name in ("../../x", "/etc/passwd", "..", "a" * 5000, "a\0b", "ü:é"):
        Ledger.of(config, name).add_report(1)
        assert Ledger.of(config, name).path.parent == tmp_path / "loss_logging" / "delivered" / "cats"
        assert Ledger.of(config, name).reports == {1}
