"""loss_logging/records/per_example.py"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import SampleRecord, compute_per_example_loss, per_example_loss

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=6)


@settings(max_examples=examples(100), deadline=None)
@given(SHAPES, st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]), st.integers(0, 9))
def test_mean_over_all_but_the_batch(shape: list[int], dtype: torch.dtype, seed: int) -> None:
    """From 1-D to 6-D: row i is the mean of example i in float32, and the means' mean is the mean."""
    loss = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(dtype).requires_grad_()
    result = per_example_loss(loss)
    assert result.shape == (shape[0],)
    assert result.dtype == torch.float32
    assert not result.requires_grad
    expected = torch.stack([row.detach().double().mean() for row in loss]).float()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(result.mean(), loss.detach().double().mean().float())


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_result_shares_no_memory(shape: tuple[int, ...]) -> None:
    """Weighting the loss in place afterwards does not reach the result."""
    loss = torch.ones(shape)
    result = per_example_loss(loss)
    loss *= 7
    assert result.tolist() == [1.0, 1.0, 1.0]


def test_channels_last() -> None:
    """The layout in memory plays no part."""
    loss = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(per_example_loss(loss.to(memory_format=torch.channels_last)), per_example_loss(loss))


def test_stays_on_its_device() -> None:
    """Nothing is copied to the host: a tensor without storage stays one."""
    assert per_example_loss(torch.empty(2, 3, device="meta")).device.type == "meta"


def test_empty_batch_and_non_finite_values() -> None:
    """A batch of nothing has no losses; NaN and infinity stay with their example."""
    assert per_example_loss(torch.empty(0, 4, 8)).shape == (0,)
    assert compute_per_example_loss(torch.empty(0), paths=[], datasets="a", captions=[]) == []
    result = per_example_loss(torch.tensor([[1.0, float("nan")], [float("inf"), 1.0], [1.0, 1.0]]))
    assert result.isnan().tolist() == [True, False, False]
    assert result.isinf().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (torch.tensor(1.0), ValueError, r'scalar, shape \(\).*reduction="none"'),
        (torch.ones(2, 0), ValueError, r"shape \(2, 0\).*no elements"),
        (torch.ones(2, dtype=torch.int64), TypeError, r"torch.int64.*floating-point"),
        (torch.ones(2, dtype=torch.complex64), TypeError, "torch.complex64"),
        (np.ones(2), TypeError, r"ndarray.*torch.as_tensor"),
        ([0.1, 0.2], TypeError, r"list.*torch.as_tensor"),
    ],
)
def test_what_is_no_per_example_loss(loss: Any, error: type[Exception], message: str) -> None:
    """A loss that cannot be split into examples is refused, with what it is and what to do."""
    with pytest.raises(error, match=message):
        per_example_loss(loss)


GOOD: dict[str, Any] = {
    "paths": ["a.png", PurePosixPath("b/c.png"), "d"],
    "datasets": ["cats", "", None],
    "captions": ["a cat", "", "\ud800"],
    "timesteps": torch.tensor([1, 500, 999]),
    "loss_empty": torch.rand(3, 2, 2),
    "components": {"snr_weight": torch.tensor([1.0, 0.5, 0.25]), "prior": [0, 1.5, 2], "x": np.ones(3, np.float32)},
}


def test_records_hold_exactly_the_tensors_values() -> None:
    """Each record's numbers are float(tensor[i]); names and captions are as given."""
    loss = torch.rand(3, 4, 5)
    records = compute_per_example_loss(loss, **GOOD)
    rows, empty = per_example_loss(loss), per_example_loss(GOOD["loss_empty"])
    assert records == [
        SampleRecord(
            path=path,
            dataset=dataset,
            caption=caption,
            loss=float(rows[i]),
            timestep=timestep,
            loss_empty=float(empty[i]),
            components=components,
        )
        for i, (path, dataset, caption, timestep, components) in enumerate(
            [
                ("a.png", "cats", "a cat", 1.0, {"snr_weight": 1.0, "prior": 0.0, "x": 1.0}),
                ("b/c.png", "unknown", "", 500.0, {"snr_weight": 0.5, "prior": 1.5, "x": 1.0}),
                ("d", "unknown", "\ud800", 999.0, {"snr_weight": 0.25, "prior": 2.0, "x": 1.0}),
            ]
        )
    ]


def test_one_dataset_for_the_whole_batch_and_nothing_optional() -> None:
    """A single dataset name serves every example; what is not given is None."""
    records = compute_per_example_loss(torch.ones(2), paths=("a", "b"), datasets="cats", captions=["", ""])
    assert [record.dataset for record in records] == ["cats", "cats"]
    assert records[0] == SampleRecord("a", "cats", "", 1.0)


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("paths", ["a", "b"], ValueError, "paths has length 2, but loss has batch size 3"),
        ("captions", ["a"] * 4, ValueError, "captions has length 4, but loss has batch size 3"),
        ("datasets", ["a"], ValueError, "datasets has length 1, but loss has batch size 3"),
        ("timesteps", torch.ones(2), ValueError, "timesteps has length 2, but loss has batch size 3"),
        ("timesteps", torch.ones(3, 1), ValueError, r"timesteps has shape \(3, 1\)"),
        ("timesteps", torch.tensor(3), TypeError, "timesteps is a int"),
        ("loss_empty", torch.ones(2, 5), ValueError, "loss_empty has length 2, but loss has batch size 3"),
        ("components", {"w": [1.0]}, ValueError, r"components\['w'\] has length 1, but loss has batch size 3"),
        ("components", {"w": 1.0}, TypeError, r"components\['w'\] is a float"),
        ("components", {"w": ["1", "2", "3"]}, TypeError, r"components\['w'\]\[0\] is '1'"),
        ("paths", "abc", TypeError, "paths is one str, 'abc'; pass a sequence of 3"),
        ("captions", "abc", TypeError, "captions is one str, 'abc'; pass a sequence of 3"),
        ("captions", ["a", None, "b"], TypeError, r"captions\[1\] is None"),
        ("paths", ["a", 1, "b"], TypeError, r"paths\[1\] is 1, a int; expected str"),
        ("paths", None, TypeError, "paths is a NoneType"),
    ],
)
def test_arguments_that_do_not_fit(argument: str, value: Any, error: type[Exception], message: str) -> None:
    """A wrong length or type is refused with the argument's name, what it is, and what is expected."""
    with pytest.raises(error, match=message):
        compute_per_example_loss(torch.ones(3), **{**GOOD, argument: value})
