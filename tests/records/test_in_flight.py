"""What a data loader makes of names and figures (loss_logging/records/in_flight.py), and frames instead of records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader

from loss_logging import LossLogger
from loss_logging.records.log import RecordLog


def logged(folder: Path, **batch: Any) -> list[dict[str, Any]]:
    """The records of one batch of two."""
    losses = LossLogger(job_name="run", save_root=folder, loggers=[], reporter="inline")
    with losses:
        names: dict[str, Any] = {"paths": ["a", "b"], "datasets": "d", "captions": ["x", "y"]}
        losses.log_batch(1, **({"per_example": [0.5, 0.25]} | names | batch))
    rows: list[dict[str, Any]] = RecordLog(folder / "loss_logging" / "records" / "run").read().to_pylist()
    return rows


# --- names --------------------------------------------------------------------------------------------------------

IDS: dict[str, Any] = {
    "torch": torch.tensor([3, 7]),
    "torch uint8": torch.tensor([3, 7], dtype=torch.uint8),
    "torch view": torch.tensor([[3, 0], [7, 0]])[:, 0],
    "list of 0-d tensors": [torch.tensor(3), torch.tensor(7)],
    "list of tensors of one": [torch.tensor([3]), torch.tensor([7])],
    "numpy": np.array([3, 7]),
    "numpy objects": np.array([3, 7], dtype=object),
    "list of numpy scalars": [np.int32(3), np.int32(7)],
    "pandas": pd.Series([3, 7], index=[5, 6]),
    "pandas Int64": pd.Series([3, 7], dtype="Int64"),
    "pandas index": pd.Index([3, 7]),
    "polars": pl.Series([3, 7]),
    "arrow": pa.array([3, 7]),
    "arrow chunks": pa.chunked_array([[3], [7]]),
    "range": range(3, 11, 4),
    "tuple": (3, 7),
    "dictionary's keys": {3: "", 7: ""}.keys(),
}
TEXTS: dict[str, Any] = {
    "numpy": np.array(["3", "7"]),
    "numpy bytes": np.array([b"3", b"7"]),
    "pandas": pd.Series(["3", "7"]),
    "pandas string": pd.Series(["3", "7"], dtype="string"),
    "categories": pd.Categorical(["3", "7"]),
    "polars": pl.Series(["3", "7"]),
    "arrow": pa.array(["3", "7"]),
    "arrow dictionary": pa.array(["3", "7"]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", [*IDS, *(f"texts of {kind}" for kind in TEXTS)])
def test_names_are_what_they_say(tmp_path: Path, kind: str) -> None:
    """Numbers and texts of any array, tensor or column are the same paths, datasets and captions: 3 and 7."""
    values = IDS[kind] if kind in IDS else TEXTS[kind.removeprefix("texts of ")]
    rows = logged(tmp_path, paths=values, datasets=values, captions=values)
    assert [(row["path"], row["dataset"], row["caption"]) for row in rows] == [(name,) * 3 for name in "37"]


MISSING: dict[str, Any] = {
    "None": ["a", None],
    "pd.NA": ["a", pd.NA],
    "pd.NaT": ["a", pd.NaT],
    "nan": ["a", float("nan")],
    "np.float32 nan": ["a", np.float32("nan")],
    "with a number": [pd.NA, 3],
    "pandas string": pd.Series(["a", None], dtype="string"),
    "pandas Int64": pd.Series([1, None], dtype="Int64"),
    "pandas objects": pd.Series(["a", pd.NA], dtype=object),
    "polars": pl.Series(["a", None]),
    "arrow": pa.array(["a", None]),
    "arrow numbers": pa.array([3, None]),
    "arrow scalars": [pa.scalar(None), pa.scalar(3)],
    "masked": np.ma.array([3, 7], mask=[0, 1]),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_names_are_missing(tmp_path: Path, kind: str) -> None:
    """Whatever stands for nothing is nothing: the dataset unknown, the empty caption, and never "<NA>"."""
    rows = logged(tmp_path, datasets=MISSING[kind], captions=MISSING[kind], paths=MISSING[kind])
    assert [row["dataset"] for row in rows].count("unknown") == 1
    for row in rows:
        assert (row["dataset"] == "unknown") == (row["caption"] == "") == (row["path"] == "")


def test_ids_of_the_default_collate(tmp_path: Path) -> None:
    """A DataLoader makes a tensor of numbers and a list of texts; a tensor that is written to again keeps nobody."""
    items = [{"id": i + 3, "text": f"a cat {i}", "set": 5} for i in range(2)]
    batch = next(iter(DataLoader(items, batch_size=2)))  # type: ignore[arg-type, var-annotated]
    losses = LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline")
    with losses:
        losses.log_batch(1, torch.rand(2), paths=batch["id"], datasets=batch["set"], captions=batch["text"])
        batch["id"].fill_(-1)
    rows = RecordLog(tmp_path / "loss_logging" / "records" / "run").read().to_pylist()
    assert [(row["path"], row["dataset"], row["caption"]) for row in rows] == [
        ("3", "5", "a cat 0"), ("4", "5", "a cat 1"),
    ]  # fmt: skip


@pytest.mark.parametrize("one", [3, np.int64(3), torch.tensor(3), b"3", Path("3"), np.array("3")])
def test_one_dataset_for_the_batch(tmp_path: Path, one: Any) -> None:
    """One name is one name, whatever type it has."""
    assert [row["dataset"] for row in logged(tmp_path, datasets=one)] == ["3", "3"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"paths": torch.zeros(2, 3)}, ValueError, r"paths has shape \(2, 3\); expected a name for each of the 2"),
        ({"paths": torch.zeros(2, 1)}, ValueError, r"paths has shape \(2, 1\)"),
        ({"paths": np.zeros((2, 2))}, ValueError, r"paths has shape \(2, 2\)"),
        ({"captions": pd.DataFrame({"a": [1, 2], "b": [1, 2]})}, ValueError, r"captions has shape \(2, 2\)"),
        ({"captions": pl.DataFrame({"a": ["x", "y"]})}, ValueError, r"captions has shape \(2, 1\)"),
        ({"datasets": pa.table({"a": ["x", "y"]})}, ValueError, r"datasets has shape \(2, 1\)"),
        ({"paths": torch.tensor([1, 2, 3])}, ValueError, "paths has 3 elements but the batch has 2 losses"),
        ({"paths": {"a", "b"}}, TypeError, "paths is {'"),
        ({"paths": {"a": 1, "b": 2}}, TypeError, "paths is {'a': 1, 'b': 2}; expected a sequence of 2"),
        ({"paths": b"ab"}, TypeError, "paths is the text b'ab'"),
        ({"captions": bytearray(b"ab")}, TypeError, "captions is the text"),
        ({"paths": torch.tensor(3)}, TypeError, r"paths is tensor\(3\); expected a sequence of 2"),
    ],
)
def test_what_names_nobody_is_named(tmp_path: Path, change: dict[str, Any], error: Any, message: str) -> None:
    """Refused in words, where it would have given names that nobody meant."""
    with pytest.raises(error, match=message):
        logged(tmp_path, **change)


# --- figures ------------------------------------------------------------------------------------------------------

_one = torch.tensor(0.5, requires_grad=True)
FIGURES: dict[str, Callable[[float, float], Any]] = {
    "0-d tensors that require grad": lambda a, b: [_one * 0 + a, _one * 0 + b],
    "bfloat16 ones": lambda a, b: [torch.tensor(a).bfloat16(), torch.tensor(b).bfloat16()],
    "a tuple of mixed ones": lambda a, b: (_one * 0 + a, b),
    "of two types": lambda a, b: [torch.tensor(a).half(), torch.tensor(b).double()],
    "pandas": lambda a, b: pd.Series([a, b], index=[7, 8]),
    "pandas Float64": lambda a, b: pd.Series([a, b], dtype="Float64"),
    "polars": lambda a, b: pl.Series([a, b]),
    "arrow": lambda a, b: pa.array([a, b]),
    "arrow scalars": lambda a, b: [pa.scalar(a), pa.scalar(b)],
    "numpy objects": lambda a, b: np.array([a, b], dtype=object),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_figures_of_any_kind(tmp_path: Path, kind: str) -> None:
    """Losses and all other figures come from whatever holds two numbers."""
    make = FIGURES[kind]
    rows = logged(
        tmp_path,
        per_example=make(0.5, 0.25),
        timesteps=make(0.5, 0.25),
        losses_empty=make(0.5, 0.25),
        components={"w": make(0.5, 0.25)},
        is_reg=make(1.0, 0.0),
    )
    assert [(row["loss"], row["timestep"], row["loss_empty"], row["components"], row["is_reg"]) for row in rows] == [
        (0.5, 0.5, 0.5, [("w", 0.5)], True),
        (0.25, 0.25, 0.25, [("w", 0.25)], False),
    ]


GAPS: dict[str, Any] = {
    "None": [1, None],
    "pd.NA": [True, pd.NA],
    "nan": [1.0, float("nan")],
    "numpy": np.array([True, None]),
    "pandas boolean": pd.Series([True, None], dtype="boolean"),
    "pandas objects": pd.Series([True, pd.NA], dtype=object),
    "polars": pl.Series([True, None]),
    "arrow": pa.array([True, None]),
    "masked": np.ma.array([1, 1], mask=[False, True]),
    "torch": torch.tensor([1.0, float("nan")]),
    "mixed": [torch.tensor(1.0), None],
}


@pytest.mark.parametrize("kind", GAPS)
def test_a_missing_figure_is_none(tmp_path: Path, kind: str) -> None:
    """A flag that is missing is false, an optional figure that is missing is none."""
    gaps = GAPS[kind]
    first, second = logged(tmp_path, is_reg=gaps, caption_dropped=gaps, timesteps=gaps, losses_empty=gaps)
    assert (first["is_reg"], first["caption_dropped"], first["timestep"], first["loss_empty"]) == (True, True, 1, 1)
    assert (second["is_reg"], second["caption_dropped"], second["timestep"]) == (False, False, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timesteps": pd.Series(["a", "b"])}, "timesteps is .*; expected one number for each example"),
        ({"timesteps": {1.0, 2.0}}, "timesteps is {1.0, 2.0}; expected one number"),
        ({"is_reg": ["yes", "no"]}, r"is_reg is \['yes', 'no'\]"),
        ({"per_example": [torch.zeros(2, requires_grad=True), torch.zeros(3)]}, "per_example is "),
        ({"per_example": [torch.zeros(2, requires_grad=True)] * 2}, r"per_example has shape \(2, 2\)"),
        ({"per_example": {"a": 1.0, "b": 2.0}}, "per_example is {'a'"),
    ],
)
def test_what_is_no_figure_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """The argument, its value and what is expected."""
    with pytest.raises((ValueError, TypeError), match=message):
        logged(tmp_path, **change)


ODD: dict[str, Any] = {
    "sparse_coo": lambda: torch.ones(2).to_sparse(),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    "mkldnn": lambda: torch.ones(2).to_mkldnn(),
}


@pytest.mark.filterwarnings("ignore")  # torch's own, of prototypes
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("argument", ["per_example", "paths", "timesteps", "losses_empty", "is_reg", "components"])
def test_a_tensor_that_is_not_dense_is_named(tmp_path: Path, kind: str, argument: str) -> None:
    """The argument, the kind of tensor, and what to make of it."""
    tensor = ODD[kind]()
    change, name = {argument: tensor}, argument
    if argument == "components":
        change, name = {argument: {"kl": tensor}}, r"components\['kl'\]"
    with pytest.raises(ValueError, match=f"{name} is a {kind} tensor; expected a dense one"):
        logged(tmp_path, **change)


# --- frames -------------------------------------------------------------------------------------------------------
