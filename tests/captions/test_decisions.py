from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from loss_logging import Exclusions, LossLogger, TrainConfig, read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile, Decisions
from loss_logging.captions.folder.caption_places import CaptionPlaces
from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.folder.cleaned import clean
from loss_logging.errors import ConfigError


def in_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def test_the_last_decision_counts(tmp_path: Path) -> None:
    """Whoever reads the file again sees what others have added, and what was undone is nothing."""
    one, other = DecisionFile(tmp_path / DECISIONS_FILE), DecisionFile(tmp_path / DECISIONS_FILE)
    one.append(Decision(path="a.png", decision="fine"), Decision(path="b.png", decision="later"))
    assert [(d.path, d.decision) for d in other] == [("a.png", "fine"), ("b.png", "later")]
    one.append(Decision(path="a.png", decision="exclude", who="me", why="a logo"))
    found = other.of("a.png")
    assert found is not None
    assert (found.decision, found.who, found.why) == ("exclude", "me", "a logo")
    assert found.when is not None
    one.append(Decision(path="a.png", decision="undone"))
    assert other.of("a.png") is None
    assert [d.path for d in other] == ["b.png"]
    assert len((tmp_path / DECISIONS_FILE).read_text().splitlines()) == 4  # nothing is taken away


def test_a_line_that_is_none_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a merge or an editor leaves behind is said with its line, and the others count."""
    path = tmp_path / DECISIONS_FILE
    lines = [
        '{"path": "a.png", "decision": "fine"}',
        "<<<<<<< HEAD",
        '{"path": "b.png", "decision": "exclude", "why": "blurred"}',
        '{"path": "c.png", "decision": "delete"}',
        '{"path": "../d.png", "decision": "exclude"}',
        "",
        '{"path": "e.png", "decision": "later"}',
    ]
    path.write_text("\n".join(lines))
    file = DecisionFile(path)
    assert [decision.path for decision in file] == ["a.png", "b.png", "e.png"]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [f"line {number} of {path}" in one for number, one in zip((2, 4, 5), warnings, strict=True)] == [True] * 3
    file.append(Decision(path="f.png", decision="fine"))  # after a line that nobody ended
    assert [decision.path for decision in DecisionFile(path)] == ["a.png", "b.png", "e.png", "f.png"]


@pytest.mark.parametrize("name", ["./cats/1.png", "cats//1.png", "cats/./1.png"])
def test_a_path_in_another_spelling_is_the_same(tmp_path: Path, name: str) -> None:
    """What a person or a program has written counts here as in a training, and is undone as any other."""
    path = tmp_path / DECISIONS_FILE
    path.write_text(json.dumps({"path": name, "decision": "exclude"}) + "\n")
    decisions = Decisions(tmp_path)
    assert decisions.excludes("cats/1.png")
    assert Exclusions(TrainConfig(job_name="a", save_root=tmp_path / "run")).excludes(tmp_path / "cats" / "1.png")
    decisions.decide("cats/1.png", "undone")
    assert not decisions.excludes("cats/1.png")
    assert list(DecisionFile(path)) == []


def test_git_merges_it(tmp_path: Path) -> None:
    """Two people who decide on two branches lose nothing."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    file = DecisionFile(tmp_path / DECISIONS_FILE)
    git("init", "-b", "main")
    (tmp_path / ".gitattributes").write_text(f"{DECISIONS_FILE} merge=union\n")
    file.append(Decision(path="a.png", decision="fine"))
    git("add", "-A")
    git("commit", "-m", "first")
    git("checkout", "-b", "other")
    file.append(Decision(path="b.png", decision="exclude"))
    git("commit", "-am", "other")
    git("checkout", "main")
    file.append(Decision(path="c.png", decision="later"))
    git("commit", "-am", "main")
    git("merge", "other")
    assert {(one.path, one.decision) for one in file} == {("a.png", "fine"), ("b.png", "exclude"), ("c.png", "later")}


APPEND = """
import sys
from pathlib import Path
from loss_logging.captions.decisions import Decision, DecisionFile
file = DecisionFile(Path(sys.argv[1]))
for i in range(60):
    file.append(Decision(path=f"{sys.argv[2]}/{i}.png", decision="exclude", why="x" * 500))
"""


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    """Both append at once; every line is whole."""
    path = tmp_path / DECISIONS_FILE
    processes = [in_process(APPEND, path, name) for name in ("a", "b")]
    for process in processes:
        assert process.communicate()[1] == ""
    assert len(list(DecisionFile(path))) == 120


FULL = """
import resource, signal, sys
from pathlib import Path
from loss_logging.captions.decisions import Decision, DecisionFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
file = DecisionFile(Path(sys.argv[1]))
file.append(Decision(path="a.png", decision="fine"))
try:
    file.append(Decision(path="b.png", decision="fine", why="x" * 1_000))
except OSError:
    pass
else:
    sys.exit("no error")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)  # for what measures coverage
"""


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """No half line stays behind."""
    path = tmp_path / DECISIONS_FILE
    assert in_process(FULL, path).communicate()[1] == ""
    assert [decision.path for decision in DecisionFile(path)] == ["a.png"]
    assert path.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("path", ["../a.png", "a/../../b.png", "", "a\0b"])
def test_a_path_that_leaves_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    """The error names the path and what is allowed; nothing is written."""
    file = DecisionFile(tmp_path / DECISIONS_FILE)
    with pytest.raises(ConfigError, match="allowed: a path in the folder"):
        file.append(Decision(path=path, decision="exclude"))
    assert not file.path.exists()


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    """A decision is found from the image's folder upwards, and written to the file that is there."""
    decisions = Decisions(tmp_path)
    DecisionFile(tmp_path / DECISIONS_FILE).append(Decision(path="cats/1.png", decision="exclude"))
    assert decisions.excludes("cats/1.png")
    assert decisions.excludes(str(tmp_path / "cats" / "1.png"))
    (tmp_path / "cats").mkdir()
    decisions.decide("cats/2.png", "fine", caption="a cat")
    assert not (tmp_path / "cats" / DECISIONS_FILE).exists()
    DecisionFile(tmp_path / "cats" / DECISIONS_FILE).append(Decision(path="1.png", decision="fine"))
    assert not decisions.excludes("cats/1.png")
    assert decisions.of("https://example.org/1.png") is None


def test_what_is_decided_above_a_linked_folder(tmp_path: Path) -> None:
    """It counts by the way through the link, too, as in a training; what is decided beside the link counts before."""
    real, work = tmp_path / "data" / "cats", tmp_path / "work"
    real.mkdir(parents=True)
    work.mkdir()
    (work / "cats").symlink_to(real)
    for name in ("1.png", "2.png"):
        (real / name).touch()
        (real / name).with_suffix(".txt").write_text("a cat on a sofa")
    DecisionFile(tmp_path / "data" / DECISIONS_FILE).append(Decision(path="cats/1.png", decision="exclude"))

    def excluded() -> list[bool]:
        decisions = Decisions(work)
        training = Exclusions(TrainConfig(job_name="a", save_root=tmp_path / "run", images=work))
        listed = [decisions.among([folder]).get("cats/1.png") for folder in ("cats", "cats/")]
        return [
            decisions.excludes("cats/1.png"),
            training.excludes("cats/1.png"),
            clean(work / "cats").excluded == ["1.png"],
            *(one is not None and one.decision == "exclude" for one in listed),
        ]

    assert excluded() == [True] * 5
    above = DecisionFile(work / DECISIONS_FILE)
    above.append(Decision(path="cats/1.png", decision="undone"))
    assert excluded() == [False] * 5
    above.append(Decision(path="cats/1.png", decision="exclude"))
    assert excluded() == [True] * 5
    Decisions(work).decide("cats/1.png", "undone")
    assert excluded() == [False] * 5
    later = Decision(path="cats/1.png", decision="exclude", when="2999-01-01T00:00:00+00:00")
    DecisionFile(tmp_path / "data" / DECISIONS_FILE).append(later)
    assert excluded() == [True] * 5


def test_a_folder_that_is_looked_at_has_one_file(tmp_path: Path) -> None:
    """What is decided about its images goes to its own file, and all of it is found again by folder."""
    (tmp_path / "cats").mkdir()
    decisions = Decisions(tmp_path, home=tmp_path)
    decisions.decide("cats/1.png", "exclude")
    decisions.decide("2.png", "later")
    assert [path.parent for path in tmp_path.rglob(DECISIONS_FILE)] == [tmp_path]
    found = decisions.among(["cats", ""])
    assert {path: one.decision for path, one in found.items() if not path.startswith("/")} == {
        "cats/1.png": "exclude",
        "2.png": "later",
    }
    assert found[str(tmp_path / "cats" / "1.png")].decision == "exclude"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that takes no file, even from root")
def test_a_run_keeps_what_a_folder_does_not_take(tmp_path: Path) -> None:
    """Where no file can be made beside the images, nobody waits for its lock, and it is beside the run."""
    with pytest.raises(FileNotFoundError):  # a TimeoutError if it had waited
        DecisionFile(Path("/proc") / DECISIONS_FILE).append(Decision(path="1.png", decision="exclude"))
    own = tmp_path / DECISIONS_FILE
    decisions = Decisions(own=own)
    decisions.decide("/proc/1.png", "exclude")
    assert [one.path for one in DecisionFile(own)] == ["/proc/1.png"]
    assert decisions.excludes("/proc/1.png")
    decisions.decide("/proc/1.png", "undone")
    assert not decisions.excludes("/proc/1.png")


def test_a_decision_makes_no_folder_of_images(tmp_path: Path) -> None:
    """Where images lie on another machine, what is decided about them is kept beside the run."""
    decisions = Decisions(base=tmp_path, own=tmp_path / DECISIONS_FILE)
    decisions.decide("cats/1.png", "exclude")
    assert decisions.excludes("cats/1.png")
    assert not (tmp_path / "cats").exists()


def test_what_is_undone_nearer_hides_what_was_decided_before(tmp_path: Path) -> None:
    """Undoing counts even where the file that excludes cannot be written; what is decided later counts again."""
    (tmp_path / "cats").mkdir()
    far, near = (DecisionFile(folder / DECISIONS_FILE) for folder in (tmp_path, tmp_path / "cats"))
    own = DecisionFile(tmp_path / "own.jsonl")

    def excluded(own: Path | None = None) -> list[bool]:
        decisions = Decisions(tmp_path, own=own)
        found = decisions.among(["cats"]).get("cats/1.png")
        return [decisions.excludes("cats/1.png"), found is not None and found.decision == "exclude"]

    far.append(Decision(path="cats/1.png", decision="exclude", when="2026-01-01T00:00:00+00:00"))
    near.append(Decision(path="1.png", decision="undone", when="2026-01-02T00:00:00Z"))
    assert excluded() == [False, False]
    far.append(Decision(path="cats/1.png", decision="exclude", when="2026-01-03T00:00:00+00:00"))
    assert excluded() == [True, True]
    own.append(Decision(path=str(tmp_path / "cats" / "1.png"), decision="undone"))
    assert excluded(own.path) == [False, False]
    Decisions(tmp_path, own=own.path).decide("cats/1.png", "exclude")  # within the same second
    assert excluded(own.path) == [True, True]


def test_what_is_fine_is_not_shown_again(tmp_path: Path) -> None:
    """Neither a caption that a person found to be fine, nor an excluded image; a caption that changed since is."""
    for name, caption in {"fine": "none", "excluded": "nan", "changed": "nan", "later": "nan", "half": "<b>"}.items():
        (tmp_path / f"{name}.png").touch()
        (tmp_path / f"{name}.txt").write_text(caption)
    decisions = Decisions(tmp_path)
    decisions.decide("fine.png", "fine", caption="none")
    decisions.decide("excluded.png", "exclude")
    decisions.decide("changed.png", "fine", caption="a cat on a sofa")
    decisions.decide("later.png", "later")
    check = check_folder(tmp_path)
    assert {one.path for one in check.captions.flagged} == {"changed.png", "later.png", "half.png"}
    assert check.captions.ignored == 2
    file = DecisionFile(tmp_path / DECISIONS_FILE)
    rules = {rule for one in check.captions.flagged if one.path == "half.png" for rule in one.reasons}
    file.append(Decision(path="half.png", decision="fine", rules=tuple(rules)[:1]))
    left = {rule for one in check_folder(tmp_path).captions.flagged if one.path == "half.png" for rule in one.reasons}
    assert left == rules - set(tuple(rules)[:1])
    assert not check.problems.counts  # the file is none of the folder's captions


@pytest.mark.parametrize("text", ["nan\n", " nan \n", "nan\r\n\r\n", "nan\r\na cat on a mat\r\n"])
def test_what_is_fine_is_known_by_what_a_trainer_reads_of_it(tmp_path: Path, text: str) -> None:
    """A person decides on the text of the file; a trainer may read its first line, without white space."""
    image = tmp_path / "10_sks dog" / "1.png"
    image.parent.mkdir()
    image.touch()
    image.with_suffix(".txt").write_bytes(text.encode())
    decisions = Decisions(tmp_path)
    assert [one.path for one in check_folder(tmp_path).captions.flagged] == ["10_sks dog/1.png"]
    for decision, other in (("fine", False), ("caption", True)):
        seen = CaptionPlaces().of(image).caption
        kept = {"caption": seen} if decision == "fine" else {"caption": "a dog", "before": seen}
        decisions.decide(str(image), decision, **kept)  # type: ignore[arg-type]
        assert [one.path for one in check_folder(tmp_path).captions.flagged] == ["10_sks dog/1.png"] * other
        found = decisions.of(str(image))
        assert found is not None
        assert (found.on("nan"), found.on("a mat"), found.on("")) == (decision, None, None)


def test_it_is_readable_by_hand(tmp_path: Path) -> None:
    """What nobody said is not in the line."""
    file = DecisionFile(tmp_path / DECISIONS_FILE)
    file.append(Decision(path="a.png", decision="caption", caption="a dog", before="a cat", when="2026-01-01"))
    assert json.loads(file.path.read_text()) == {
        "path": "a.png",
        "decision": "caption",
        "caption": "a dog",
        "before": "a cat",
        "when": "2026-01-01",
    }


def test_training_does_not_show_it_again_either(tmp_path: Path) -> None:
    """A run's reports leave out what a person has decided about, from the next save step on, and count without it."""
    paths = [str(tmp_path / "images" / f"{i}.png") for i in range(3)]
    (tmp_path / "images").mkdir()
    captions = ["nan", "nan", "a cat on a sofa"]
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        reports = []
        for step in (1, 2):
            losses.log_batch(step, [0.5] * 3, paths=paths, datasets="d", captions=captions)
            path = losses.save_step(step).result()
            assert path is not None
            reports.append(read_report(path))
            Decisions().decide(paths[0], "fine", caption="nan")
    assert [[flagged.path for flagged in report.flagged] for report in reports] == [paths[:2], paths[1:2]]
    assert [report.flagged_summary["empty"] for report in reports] == [2, 1]
