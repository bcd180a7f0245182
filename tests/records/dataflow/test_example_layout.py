"""loss_logging/example_layout.py"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers import examples
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor

from loss_logging.records.dataflow.example_layout import Layout, concatenated, rows, viewed

SIZES = st.sampled_from([1, 2, 3, 4, 6])
VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "turned": lambda x: x.transpose(0, -1),
    "moved": lambda x: x.movedim(0, -1),
    "picked": lambda x: x[1],
    "picked within": lambda x: x[..., 0],
    "cut": lambda x: x[1:],
    "every second": lambda x: x[::2],
    "every second within": lambda x: x[..., ::2],
    "a new dimension": lambda x: x[:, None],
    "expanded": lambda x: x.expand(2, *x.shape),
    "half": lambda x: x.chunk(2)[-1],
    "windows": lambda x: x.unfold(-1, 2, 1),
    "squeezed": lambda x: x.squeeze(),
}


def examples_of(layout: Layout, shape: torch.Size) -> Tensor:
    """The example of each element, written out."""
    labels = torch.tensor(layout.first)
    for size, step in layout.flat:
        labels = labels[..., None] + torch.arange(size) * step
    return labels.reshape(shape)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=4), st.lists(st.sampled_from(sorted(VIEWS)), max_size=4), st.data())
def test_layouts_follow_views_and_reshapes(shape: list[int], names: list[str], data: st.DataObject) -> None:
    """After any chain of views and reshapes a layout says the same as numbered rows that went through it."""
    labels = torch.arange(shape[0]).view(-1, *[1] * (len(shape) - 1)).expand(shape)
    layout: Layout | None = rows(tuple(shape))
    for name in names:
        if data.draw(st.booleans()):
            sizes = data.draw(st.permutations(labels.shape))
            labels, layout = labels.reshape(sizes), layout and layout.reshaped(sizes)
        try:
            moved = VIEWS[name](labels)
        except (RuntimeError, IndexError):
            reject()
        if layout is not None and labels.numel():
            (layout,) = viewed(layout, labels.shape, VIEWS[name])
        labels = moved
    if layout is not None and labels.numel():
        assert torch.equal(examples_of(layout, labels.shape), labels)


@pytest.mark.parametrize("sizes", [[2, 2], [1, 3], [3, 1], [1, 1, 2], [4]])
def test_pieces_in_their_order_are_the_batch(sizes: list[int]) -> None:
    """What split() takes apart, cat() puts together; in another order it does not."""
    whole = rows((4, 3))
    pieces = viewed(whole, (4, 3), lambda twin: twin.split(sizes))
    known = [piece for piece in pieces if piece is not None]
    assert concatenated(known, 0, (4, 3)) == whole
    if len(sizes) > 1:
        assert concatenated(known[::-1], 0, (4, 3)) is None


def test_row_sums_of_turned_and_folded_tensors() -> None:
    """The sums are those of each example wherever its elements lie."""
    values = torch.arange(24.0).view(4, 6)
    expected = values.sum(1)
    turned = rows((4, 2, 3))
    (layout,) = viewed(turned, (4, 2, 3), lambda twin: twin.permute(2, 0, 1))
    assert layout is not None
    torch.testing.assert_close(layout.row_sums(values.view(4, 2, 3).permute(2, 0, 1), 4), expected)
    folded = rows((4, 6)).reshaped((3, 8))
    assert folded.folded
    torch.testing.assert_close(folded.row_sums(values.view(3, 8), 4), expected)
    assert rows((4, 6)).reshaped((2, 2, 6)).is_all_of(4)
    assert not rows((3, 4)).is_all_of(4)
