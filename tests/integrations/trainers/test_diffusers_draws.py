from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny_pipelines import stable_diffusion

from loss_logging.evaluation.draw import Draw
from loss_logging.integrations.trainers.diffusers import PipelineLoss

PATHS = ["a.png", "b.png", "c.png"]
RIVALS = [["a dog"], [], ["a bird", "a fish"]]


@pytest.fixture(scope="module")
def pipeline() -> Any:
    torch.manual_seed(0)
    return stable_diffusion()


def batch(rivals: bool) -> dict[str, Any]:
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = {"paths": PATHS, "captions": ["a cat", "two cats", "a dog"], "datasets": "d", "pixel_values": pixels}
    return found | ({"rivals": RIVALS} if rivals else {})


def rows(compute: PipelineLoss, given: dict[str, Any], draw: int, count: int = 4) -> Any:
    records = compute(given, Draw(0, draw, count))
    return torch.tensor(
        [[one.loss, one.loss_empty or 0.0, one.loss_rival or 0.0, one.timestep or 0.0] for one in records]
    )


@pytest.fixture
def forwards(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The rows of each forward of the denoiser."""
    seen: list[int] = []
    hook = pipeline.unet.register_forward_pre_hook(lambda _module, given: seen.append(len(given[0])))
    yield seen
    hook.remove()


@pytest.mark.parametrize("rivals", [False, True])
def test_draws_that_are_computed_together_are_as_each_alone(pipeline: Any, forwards: list[int], rivals: bool) -> None:
    """A batch that is asked for in turn takes two forwards, one batch alone a forward for each draw; same numbers."""
    given, together = batch(rivals), PipelineLoss(pipeline, paired=True)
    ahead = [rows(together, given, draw) for draw in range(4)]
    each = 9 if rivals else 6
    assert forwards == [each, 3 * each]
    alone = [rows(PipelineLoss(pipeline, paired=True), given, draw) for draw in range(4)]
    torch.testing.assert_close(torch.stack(ahead), torch.stack(alone), rtol=1e-5, atol=1e-6, equal_nan=True)


def test_nothing_is_computed_ahead_for_a_batch_that_changes(pipeline: Any, forwards: list[int]) -> None:
    """Other pixels, captions or draws than those that come next are computed anew, so that no loss is an old one."""
    given, compute = batch(rivals=False), PipelineLoss(pipeline, paired=True)
    first = rows(compute, given, 0), rows(compute, given, 1)
    given["captions"] = ["a horse", "two cats", "a dog"]
    assert not torch.equal(rows(compute, given, 2)[0], rows(PipelineLoss(pipeline, paired=True), batch(False), 2)[0])
    assert torch.equal(rows(compute, batch(rivals=False), 0), first[0])
    assert forwards == [6, 18, 6, 6, 6]


def test_weights_that_changed_since_are_seen(pipeline: Any) -> None:
    """An evaluation that broke off leaves nothing to the next one of the same batch."""
    given, compute = batch(rivals=False), PipelineLoss(pipeline, paired=True)
    before = [rows(compute, given, draw) for draw in (0, 1)]
    weight = pipeline.unet.conv_out.weight
    with torch.no_grad():
        weight.mul_(2)
        after = [rows(compute, given, draw) for draw in (0, 1)]
        weight.div_(2)
    assert all(bool((one[:, 0] != other[:, 0]).all()) for one, other in zip(before, after, strict=True))


def test_a_forward_that_does_not_fit_is_split(
    pipeline: Any, forwards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the device has too little memory, fewer captions at a time, and so from then on; same numbers."""
    given, compute = batch(rivals=False), PipelineLoss(pipeline, paired=True)
    expected = [rows(PipelineLoss(pipeline, paired=True), given, draw) for draw in (0, 1)]
    forwards.clear()
    forward = pipeline.unet.forward

    def small(noisy: torch.Tensor, *others: Any, **named: Any) -> Any:
        if len(noisy) > 4:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return forward(noisy, *others, **named)

    monkeypatch.setattr(pipeline.unet, "forward", small)
    found = [rows(compute, given, draw, 2 * 2) for draw in (0, 1)]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-5, atol=1e-6, equal_nan=True)
    assert forwards == [6, 3, 3, *[3] * 6]
