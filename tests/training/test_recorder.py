"""loss_logging/training/recorder.py"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import wait_until

from loss_logging.errors import LossLoggingError
from loss_logging.records.columns import table_from_records
from loss_logging.records.in_flight import FEW
from loss_logging.records.log import RecordLog
from loss_logging.training import recorder as module
from loss_logging.training.recorder import LossRecorder, Unwritten


class Recorder(LossRecorder):
    """A LossRecorder with defaults, and whether what is flushed is on disk."""

    def __init__(self, folder: Path, keep: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda b: b, **options: Any):
        self.written: list[int] = []
        self.log = RecordLog(folder)
        super().__init__(self.log, keep, options.pop("flush_seconds", 3600.0), self.written.append, **options)

    def take(self, step: int = 1, losses: Any = (0.5, 0.25), **rest: Any) -> None:
        size = len(losses)
        names: dict[str, Any] = {"paths": [f"{i}" for i in range(size)], "datasets": "d", "captions": ["c"] * size}
        nothing = dict.fromkeys(["timesteps", "losses_empty", "components", "is_reg", "caption_dropped"])
        self.append(step, losses, **(names | nothing | rest))

    def flushed(self) -> tuple[Unwritten, int]:
        """What is not written and how many rows the log has, seen from the small thread."""
        seen: list[tuple[Unwritten, int]] = []
        done = threading.Event()
        self.flush(lambda unwritten: (seen.append((unwritten, RecordLog(self.log.folder).read().num_rows)), done.set()))
        assert done.wait(20)
        return seen[0]

    def rows(self) -> list[dict[str, Any]]:
        self.flushed()
        got: list[dict[str, Any]] = self.log.read().to_pylist()
        return got


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A running recorder over an empty log."""
    running = Recorder(tmp_path)
    yield running
    running.close(20)


# --- figures --------------------------------------------------------------------------------------------------------


def test_later_changes_do_not_reach_the_log(recorder: Recorder) -> None:
    """A trainer may reuse its tensors, arrays and lists at once."""
    loss, steps, empty = torch.tensor([1.0, 2.0]), np.array([0.1, 0.2]), torch.tensor([3.0, 4.0])
    weight, reg, paths, captions = torch.tensor([5.0, 6.0]), torch.tensor([True, False]), ["a", "b"], ["x", "y"]
    recorder.take(
        losses=loss, timesteps=steps, losses_empty=empty, components={"w": weight}, is_reg=reg, paths=paths,
        captions=captions, datasets=(names := ["d", "e"]),
    )  # fmt: skip
    for figures in (loss, empty, weight):
        figures.fill_(-1)
    steps.fill(-1)
    reg.fill_(False)
    for texts in (paths, captions, names):
        texts[:] = ["changed", "changed"]
    first, second = recorder.rows()
    assert [first[k] for k in ("loss", "timestep", "loss_empty", "path", "caption", "dataset")] == [
        1.0, 0.1, 3.0, "a", "x", "d",
    ]  # fmt: skip
    assert [second["components"], second["is_reg"], first["is_reg"]] == [[("w", 6.0)], False, True]


@pytest.mark.parametrize("size", [1, FEW, FEW + 1])
@pytest.mark.parametrize("names", [list, tuple])
def test_later_changes_of_the_least_that_a_step_gives(recorder: Recorder, size: int, names: Callable[..., Any]) -> None:
    """The same of a batch that has losses and timesteps alone, be it small or large."""
    loss, steps = torch.rand(size, requires_grad=True) * 1, torch.arange(size)
    given = loss.tolist()
    paths, captions, datasets = ([f"{kind} {i}" for i in range(size)] for kind in ("path", "caption", "dataset"))
    recorder.take(
        losses=loss, timesteps=steps, paths=names(paths), captions=names(captions), datasets=names(datasets)
    )  # fmt: skip
    loss.detach().fill_(-1)
    steps.fill_(-1)
    for texts in (paths, captions, datasets):
        texts[:] = ["changed"] * size
    rows = recorder.rows()
    assert [(row["loss"], row["timestep"]) for row in rows] == list(zip(given, range(size), strict=True))
    assert [[row[k] for k in ("path", "caption", "dataset")] for row in rows] == [
        [f"path {i}", f"caption {i}", f"dataset {i}"] for i in range(size)
    ]


KINDS: dict[str, Callable[[list[float]], Any]] = {
    "list": list,
    "tuple": tuple,
    "numpy float32": lambda v: np.array(v, np.float32),
    "numpy float16": lambda v: np.array(v, np.float16),
    "list of tensors": lambda v: [torch.tensor(x) for x in v],
    "torch with gradient": lambda v: torch.tensor(v, requires_grad=True) * 1,
    "torch view": lambda v: torch.tensor([v, v]).T[:, 0],
} | {
    f"torch {kind}": lambda v, kind=kind: torch.tensor(v, dtype=kind)  # type: ignore[misc]
    for kind in (torch.bfloat16, torch.float16, torch.float32, torch.float64)
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_figure(recorder: Recorder, kind: str) -> None:
    """Losses of any float type come out as the float64 that they are, NaN and infinity included."""
    values = [0.5, -3.0, 1.0078125, math.inf, math.nan, 0.0]
    recorder.take(losses=KINDS[kind](values), timesteps=KINDS[kind](values))
    recorder.take(losses=np.array(values), timesteps=None)
    rows = recorder.rows()
    assert np.array_equal([row["loss"] for row in rows], values * 2, equal_nan=True)
    finite = [value if math.isfinite(value) else None for value in values]
    assert [row["timestep"] for row in rows] == finite + [None] * 6


@settings(deadline=None, max_examples=examples(15))
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(allow_nan=False), min_size=0, max_size=4),
            st.booleans(),
            st.booleans(),
            st.sampled_from([None, ["w"], ["w", "v"]]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_batches_come_out_in_order(tmp_path_factory: pytest.TempPathFactory, batches: list[Any]) -> None:
    """Each record keeps its own figures and its place, whatever the batches beside it have or lack."""
    recorder = Recorder(tmp_path_factory.mktemp("log"))
    expected = []
    for step, (losses, timed, paired, names, as_tensor, one_name) in enumerate(batches):
        figures = torch.tensor(losses, dtype=torch.float64) if as_tensor else losses
        finite = [x if math.isfinite(x) else None for x in losses]
        recorder.take(
            step,
            figures,
            paths=[f"{step}-{i}" for i in range(len(losses))],
            datasets="d" if one_name else ["d"] * len(losses),
            timesteps=figures if timed else None,
            losses_empty=losses if paired else None,
            components=None if names is None else dict.fromkeys(names, losses),
            caption_dropped=[i % 2 for i in range(len(losses))] if timed else None,
        )
        for i, loss in enumerate(losses):
            expected.append(
                {
                    "step": step,
                    "path": f"{step}-{i}",
                    "dataset": "d",
                    "caption": "c",
                    "loss": loss,
                    "timestep": finite[i] if timed else None,
                    "loss_empty": finite[i] if paired else None,
                    "components": [(name, loss) for name in names] if names else None,
                    "is_reg": False,
                    "caption_dropped": bool(i % 2) and timed,
                    "loss_rival": None,
                    "rival": None,
                }
            )
    assert recorder.rows() == expected
    assert recorder.close(20) == Unwritten(0, 0)


def test_a_blank_rival_is_the_empty_caption(recorder: Recorder) -> None:
    """Each record says what it was compared with; a loss that was given for the empty caption itself stays."""
    blank = ["a dog", "", None, " "]
    recorder.take(1, [1.0] * 4, losses_rival=[2.0, 3.0, 4.0, 5.0], rivals=blank)
    recorder.take(2, [1.0] * 2, losses_empty=[6.0, 7.0], losses_rival=torch.tensor([8.0, 9.0]), rivals=["a dog", ""])
    recorder.take(3, [1.0])
    rows = [(row["loss_empty"], row["loss_rival"], row["rival"]) for row in recorder.rows()]
    assert rows[:4] == [(None, 2, "a dog"), (3, None, None), (4, None, None), (5, None, None)]
    assert rows[4:] == [(6, 8, "a dog"), (7, None, None), (None, None, None)]


def test_tables_and_batches_keep_their_order(recorder: Recorder) -> None:
    """Records in columns stand between the batches that were logged before and after them, at the given step."""
    recorder.take(1, paths=["a", "b"])
    recorder.append_table(2, table_from_records([{"path": "c", "dataset": "d", "caption": "", "loss": 1, "step": 99}]))
    recorder.append_table(2, table_from_records([]))
    recorder.take(3, paths=["e", "f"])
    assert [(row["path"], row["step"]) for row in recorder.rows()] == [
        ("a", 1), ("b", 1), ("c", 2), ("e", 3), ("f", 3),
    ]  # fmt: skip


class _Color(str):
    """A text that is not exactly a str, as an enumeration's members are."""


def test_one_dataset_name_of_a_subclass(recorder: Recorder) -> None:
    """np.str_ and the members of a str enumeration are one name, and not a sequence of letters."""
    recorder.take(datasets=np.str_("np"))
    recorder.take(datasets=_Color("en"))
    assert [row["dataset"] for row in recorder.rows()] == ["np", "np", "en", "en"]


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"paths": ["a"]}, ValueError, "paths has 1 elements but the batch has 2 losses"),
        ({"captions": ["a"] * 3}, ValueError, "captions has 3 elements but the batch has 2 losses"),
        ({"datasets": ["d"]}, ValueError, "datasets has 1 elements but the batch has 2 losses"),
        ({"paths": "ab"}, TypeError, "paths is the text 'ab'; expected a sequence of 2"),
        ({"captions": "ab"}, TypeError, "captions is the text 'ab'; expected a sequence of 2"),
        ({"paths": np.str_("ab")}, TypeError, "paths is the text 'ab'"),
        ({"captions": None}, TypeError, "captions is None; expected a sequence of 2"),
        ({"paths": 3}, TypeError, "paths is 3; expected a sequence of 2"),
        ({"datasets": None}, TypeError, "datasets is None; expected a sequence of 2"),
        ({"paths": (c for c in "ab")}, TypeError, "paths is <generator"),
        ({"paths": np.array("ab")}, TypeError, r"paths is array\('ab'"),
        ({"timesteps": [1.0]}, ValueError, r"timesteps has shape \(1,\) but the batch has 2 losses"),
        ({"timesteps": torch.ones(3)}, ValueError, r"timesteps has shape \(3,\) but the batch has 2 losses"),
        ({"timesteps": torch.ones(2, 1)}, ValueError, r"timesteps has shape \(2, 1\) but the batch has 2 losses"),
        ({"timesteps": torch.tensor(1.0)}, ValueError, r"timesteps has shape \(\) but the batch has 2 losses"),
        (
            {"timesteps": torch.ones(3), "losses": torch.ones(1), "paths": ["a", "b"], "captions": ["c"] * 2},
            ValueError,
            "paths has 2 elements but the batch has 1",
        ),
        ({"losses": torch.ones(3), "paths": ["a", "b"], "captions": ["c"] * 2}, ValueError, "paths has 2 elements"),
        ({"timesteps": 0.5}, ValueError, r"timesteps has shape \(\) but"),
        ({"timesteps": ["x", "y"]}, ValueError, r"timesteps is \['x', 'y'\]; expected one number for each example"),
        ({"losses_empty": torch.zeros(2, 1)}, ValueError, r"losses_empty has shape \(2, 1\) but"),
        ({"losses_rival": [1.0, 2.0]}, ValueError, "losses_rival is given and rivals is None; expected both"),
        ({"rivals": ["a", "b"]}, ValueError, "rivals is given and losses_rival is None; expected both"),
        ({"losses_rival": [1.0], "rivals": ["a", "b"]}, ValueError, r"losses_rival has shape \(1,\) but the batch"),
        ({"losses_rival": [1.0, 2.0], "rivals": "ab"}, TypeError, "rivals is the text 'ab'"),
        ({"losses_rival": [1.0, 2.0], "rivals": ["a"]}, ValueError, "rivals has 1 elements but the batch has 2"),
        ({"is_reg": True}, ValueError, r"is_reg has shape \(\) but"),
        ({"caption_dropped": [True]}, ValueError, r"caption_dropped has shape \(1,\) but"),
        ({"components": {"w": [1.0]}}, ValueError, r"components\['w'\] has shape \(1,\) but"),
        ({"components": {"w": ["a", "b"]}}, ValueError, r"components\['w'\] is \['a', 'b'\]"),
        ({"components": [1.0, 2.0]}, TypeError, "components is a list; expected a mapping"),
        ({"losses": torch.zeros(2, 4, 8)}, ValueError, r"per_example has shape \(2, 4, 8\); expected one loss per"),
        ({"losses": np.zeros((2, 1))}, ValueError, r"per_example has shape \(2, 1\)"),
        ({"losses": ["a", "b"]}, ValueError, r"per_example is \['a', 'b'\]"),
        ({"losses": [[1.0], [1.0, 2.0]]}, ValueError, r"per_example is \[\[1.0\]"),
        ({"step": -1}, ValueError, "step is -1; expected 0 or more"),
        ({"step": 2**62 + 1}, ValueError, "expected 0 or more, up to 2"),
        ({"step": 1.5}, TypeError, "step is 1.5; expected a whole number"),
        ({"step": "3"}, TypeError, "step is '3'; expected a whole number"),
        ({"step": None}, TypeError, "step is None; expected a whole number"),
    ],
)
@pytest.mark.parametrize("kind", [tuple, torch.tensor])
def test_what_does_not_fit_is_named(
    recorder: Recorder, change: dict[str, Any], error: type[Exception], message: str, kind: Callable[[Any], Any]
) -> None:
    """The error names the argument, the value and what is allowed; nothing of the batch is logged; the next one is."""
    with pytest.raises(error, match=message):
        recorder.take(**({"losses": kind((0.5, 0.25))} | change))
    recorder.take(7)
    assert [row["step"] for row in recorder.rows()] == [7, 7]


def test_a_scalar_loss_says_how_to_get_one_per_example(recorder: Recorder) -> None:
    """The most common mistake, the mean loss, is answered with what to do."""
    with pytest.raises(ValueError, match=r'reduction="none".*per_example_loss'):
        recorder.append(1, torch.tensor(0.5), ["a"], "d", ["c"], None, None, None, None, None)


def test_steps_of_any_whole_type(recorder: Recorder) -> None:
    """NumPy and torch whole numbers are steps."""
    for step in (1, np.int64(2), torch.tensor(3)):
        recorder.take(step)  # type: ignore[arg-type]
    assert [row["step"] for row in recorder.rows()] == [1, 1, 2, 2, 3, 3]


class _Unreadable:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


@pytest.mark.parametrize("bad", [{"paths": [_Unreadable()] * 2}], ids=["path"])
def test_a_batch_that_no_column_takes_costs_only_itself(
    recorder: Recorder, bad: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is warned about and counted; the batches around it are logged, and the thread lives."""
    for step in range(5):
        recorder.take(step)
    recorder.take(**bad)
    recorder.last_step = 5
    for step in range(5, 10):
        recorder.take(step)
    unwritten, rows = recorder.flushed()
    assert (unwritten.dropped, rows) == (2, 20)
    assert "cannot be logged" in caplog.text


def test_steps_that_go_back_are_kept_and_warned_about(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Both are in the log; the warning says what to do about it, once."""
    for step in (3, 3, 1, 2, 1):
        recorder.take(step)
    assert [row["step"] for row in recorder.rows()][::2] == [3, 3, 1, 2, 1]
    assert len(caplog.records) == 1
    assert "step 1 was logged after step 3" in caplog.text
    assert "resume(step)" in caplog.text


# --- when it is written ---------------------------------------------------------------------------------------------


def test_flush_comes_after_the_disk(recorder: Recorder) -> None:
    """When the callback runs, everything logged before is on disk, and nothing logged after is waited for."""
    for round_ in range(1, 4):
        for _ in range(40):
            recorder.take(round_)
        assert recorder.flushed() == (Unwritten(0, 0), round_ * 80)
    assert recorder.written == [1, 2, 3]


def test_records_are_written_by_time(tmp_path: Path) -> None:
    """Without a flush, a record is on disk soon after ``flush_seconds``."""
    recorder = Recorder(tmp_path, flush_seconds=0.3)
    recorder.take()
    wait_until(recorder.log.files)
    assert recorder.log.read().num_rows == 2
    recorder.close(20)


def test_close_writes_what_is_left_and_ends_the_thread(tmp_path: Path) -> None:
    """Nothing is lost without a flush, and no thread stays."""
    recorder = Recorder(tmp_path, keep=lambda batch: batch.slice(0, 1))
    recorder.take()
    assert recorder.close(20) == Unwritten(0, 0)
    assert recorder.log.read().num_rows == 1
    assert not recorder._thread.is_alive()


# --- a disk that refuses --------------------------------------------------------------------------------------------


class Disk:
    """Refuses writes while ``full``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        write = RecordLog.write

        def refuse(log: RecordLog, batches: Iterable[pa.RecordBatch]) -> Path:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(log, batches)

        monkeypatch.setattr(RecordLog, "write", refuse)


def test_records_wait_for_a_full_disk(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They are held, counted and warned about once, and written in order when the disk takes them again."""
    disk = Disk(monkeypatch)
    for step in range(3):
        recorder.take(step)
        assert recorder.flushed() == (Unwritten(2 * step + 2, 0), 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left on device" in caplog.text
    disk.full = False
    recorder.take(3)
    assert recorder.flushed() == (Unwritten(0, 0), 8)
    assert [row["step"] for row in recorder.rows()] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_oldest_are_given_up(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the oldest records are dropped and counted; memory does not grow."""
    monkeypatch.setattr(module, "_MAX_HELD_ROWS", 7)
    disk = Disk(monkeypatch)
    for step in range(6):
        recorder.take(step)
        recorder.flushed()
    assert recorder.flushed() == (Unwritten(6, 6), 0)
    disk.full = False
    assert [row["step"] for row in recorder.rows()] == [3, 3, 4, 4, 5, 5]
    assert recorder.close(20) == Unwritten(0, 6)


def test_close_says_what_the_disk_did_not_take(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that are still held when the run ends are counted."""
    disk = Disk(monkeypatch)
    recorder.take()
    assert recorder.close(20) == Unwritten(2, 0)
    disk.full = False


def test_the_backlog_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer that is faster than the thread waits; memory stays bounded and no record is lost."""
    monkeypatch.setattr(module, "_MAX_PENDING_ROWS", 50)
    gate = threading.Event()
    recorder = Recorder(tmp_path, keep=lambda batch: (gate.wait(20), batch)[1])
    taken = threading.Thread(target=lambda: [recorder.take(step) for step in range(200)])
    taken.start()
    taken.join(1.0)
    assert taken.is_alive()
    assert recorder.appended - recorder._drained <= 52 + 32
    gate.set()
    taken.join(20)
    assert recorder.close(20) == Unwritten(0, 0)
    assert recorder.log.read().num_rows == 400


def test_what_comes_after_close_is_refused(tmp_path: Path) -> None:
    """A batch of another thread's that comes too late is not lost in silence, and waits for nothing."""
    recorder = Recorder(tmp_path)
    recorder.take()
    assert recorder.close(20) == Unwritten(0, 0)
    with pytest.raises(LossLoggingError, match="is closed"):
        recorder.take()
    with pytest.raises(LossLoggingError, match="is closed"):
        recorder.append_table(2, table_from_records([{"path": "c", "dataset": "d", "caption": "", "loss": 1}]))
