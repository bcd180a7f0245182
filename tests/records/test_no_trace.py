"""loss_logging/records/no_trace.py, and the two methods of LossLogger that use it."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from loss_logging import LossLogger, per_example_loss, read_report
from loss_logging.evidence.rivals import Rivals
from loss_logging.records.no_trace import no_trace

try:
    from torch.distributed.fsdp import fully_shard
except ImportError:
    FSDP2 = False
else:
    FSDP2 = True


def make(folder: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "run", "save_root": folder, "loggers": [], "reporter": "inline"}
    return LossLogger(**(defaults | options))


# --- which steps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 1.0])
def test_the_share_of_paired_steps(tmp_path: Path, fraction: float) -> None:
    """About the share that was asked for, at no regular pace, the same ones for a seed, others for another."""
    losses, again = (make(tmp_path, paired_fraction=fraction, seed=3) for _ in range(2))
    steps = [step for step in range(4000) if losses.is_paired_step(step)]
    assert len(steps) == pytest.approx(4000 * fraction, abs=4 * (4000 * fraction * (1 - fraction)) ** 0.5)
    assert steps == [step for step in range(4000) if again.is_paired_step(step)]
    if 0 < fraction < 1:
        assert len(set(np.diff(steps))) > 5
        other = make(tmp_path, paired_fraction=fraction, seed=4)
        assert steps != [step for step in range(4000) if other.is_paired_step(step)]


def test_rivals_take_turns_with_the_empty_caption(tmp_path: Path) -> None:
    """Where rivals are known, half of the paired steps are theirs, on every rank and after a resume the same ones."""
    file = tmp_path / "rivals.parquet"
    Rivals({("d", "1.png"): ("a dog",)}).save(file)
    with_rivals, again, without = (
        make(tmp_path, paired_fraction=0.5, rivals=r) for r in (str(file), str(file), "none")
    )

    def turns(losses: LossLogger) -> list[str | None]:
        found = []
        for step in range(1000):
            with losses.paired_forward(step) as compared:
                found.append(compared)
        return found

    assert turns(with_rivals) == turns(again)
    assert [each is None for each in turns(with_rivals)] == [each is None for each in turns(without)]
    assert set(turns(without)) == {None, "empty"}
    assert turns(with_rivals).count("rival") == pytest.approx(250, abs=60)
    assert with_rivals.rivals_of(["1.png", "2.png"], "d") == ["a dog", ""]
    assert without.rival_of("1.png") == ""


@pytest.mark.parametrize("off", [{"log_per_example": False}, {"log_per_example": False, "log_per_dataset": False}])
def test_no_pairs_where_nobody_looks_at_items(tmp_path: Path, off: dict[str, bool]) -> None:
    """Where no item is reported, the extra forward is not worth it on any step."""
    losses = make(tmp_path, paired_fraction=1, **off)
    assert not losses.is_paired_step(1)
    with losses.paired_forward(1) as wanted:
        assert not wanted


# --- no trace -------------------------------------------------------------------------------------------------------


class Denoiser(nn.Module):
    """Dropout in it, and batch norm, whose buffers a forward in training changes."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 16)
        self.layers = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32), nn.SiLU(), nn.Dropout(0.3), nn.Linear(32, 16), nn.Dropout(0.1)
        )

    def forward(self, noisy: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(noisy + self.words(words))
        return result


def train(folder: Path, paired: float | None, autocast: bool, steps: int = 30) -> tuple[dict[str, Any], list[Any]]:
    """The weights and buffers after a few steps, and what each generator gives then."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with make(folder, paired_fraction=paired or 0.0, seed=1) as losses:
        for step in range(1, steps + 1):
            images, words, noise = torch.rand(8, 16), torch.randint(1, 5, (8,)), torch.randn(8, 16)
            losses_empty = None
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                if paired is not None:
                    with losses.paired_forward(step, model) as wanted:
                        if wanted:
                            random.random(), np.random.rand(), torch.rand(3)
                            empty = model(images + noise, torch.zeros_like(words))
                            losses_empty = per_example_loss((empty - noise) ** 2)
                loss = (model(images + noise, words) - noise) ** 2
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            names = {"paths": [f"{i}" for i in range(8)], "datasets": "d", "captions": ["a cat"] * 8}
            losses.log_batch(step, per_example_loss(loss), losses_empty=losses_empty, **names)
        path = losses.save_step(steps).result()
    assert path is not None
    pairs = read_report(path).datasets["d"].paired_items
    assert pairs is not None
    assert pairs.unpaired == (0 if paired else 8)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return state, [random.random(), np.random.rand(), torch.rand(3).tolist()]


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_training_is_the_same_to_the_bit(tmp_path: Path, fraction: float, autocast: bool) -> None:
    """With paired forwards or without: weights, optimiser steps, batch norm and every generator end up the same."""
    with_pairs, drawn = train(tmp_path / "with", fraction, autocast)
    without, drawn_too = train(tmp_path / "without", None, autocast)
    assert drawn == drawn_too
    assert with_pairs.keys() == without.keys()
    for name, value in without.items():
        assert torch.equal(with_pairs[name], value), name


def test_both_forwards_drop_the_same(tmp_path: Path) -> None:
    """Right before the step's own forward, the paired one sees the same dropout: equal captions have equal losses."""
    model = nn.Sequential(nn.Linear(16, 64), nn.Dropout(0.5), nn.Linear(64, 16))
    noisy = torch.randn(8, 16)
    with make(tmp_path, paired_fraction=1).paired_forward(1, model) as wanted:
        assert wanted
        before = model(noisy)
        assert not before.requires_grad
    after = model(noisy)
    assert after.requires_grad
    assert torch.equal(before, after)


def test_an_error_inside_restores_too() -> None:
    """A forward that raises leaves generators, buffers and gradient mode as they were."""
    model = nn.BatchNorm1d(3)
    mean, states = model.running_mean.clone(), (random.getstate(), torch.get_rng_state())  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="out of memory"), no_trace(model):
        model(torch.randn(4, 3) + random.random())
        raise RuntimeError("out of memory")
    assert torch.equal(model.running_mean, mean)  # type: ignore[arg-type]
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert torch.is_grad_enabled()


# --- what a forward does to its module -----------------------------------------------------------------------------


class _Reassigns(nn.Module):
    """As vector quantisers do: the buffer is another tensor after each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("size", torch.ones(3))
        self.register_buffer("memory", torch.zeros(3), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.size = 0.9 * self.size + 0.1 * x.mean(0)
        self.memory = self.memory + 1
        return x * self.size + self.memory


class _Creates(nn.Module):
    """Its first forward makes the buffers, and a flag says so; a plain tensor and a counter change as well."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("later", None)
        self.ready, self.calls, self.last = False, 0, torch.zeros(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.ready:
            self.register_buffer("center", x.mean(0).detach(), persistent=False)
            self.later = x.amax(0).detach()
            self.ready = True
        self.calls += 1
        self.last = x.mean(0).detach()
        return (x - self.center) * self.calls + self.later + self.last  # type: ignore[operator]


class _Deletes(nn.Module):
    """A buffer for the first forward alone."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("start", torch.full((3,), 0.5))
        self.register_buffer("kept", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "start"):
            x = x + self.start
            del self.start
        return x * self.kept


class _Grows(nn.Module):
    """A rotary table that is made anew for longer inputs, and buffers whose memory and size change."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(2.0), persistent=False)
        self.register_buffer("exchanged", torch.ones(3))
        self.register_buffer("resized", torch.ones(2))
        self.longest = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.longest:
            self.longest = len(x)
            self.register_buffer("table", torch.arange(float(len(x))), persistent=False)
        self.exchanged.data = self.exchanged.data.double() * 2
        self.resized.resize_(len(self.resized) + 1).fill_(7.0)
        return x * self.table[: len(x)].sum() * self.exchanged.float() + self.resized.sum()


class _Flips(nn.Module):
    """Changes between training and evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.inner(x)
        self.train(not self.training)
        return result


class _Builds(nn.Module):
    """Makes a module and a parameter in its first forward, and has buffers that are sparse and expanded."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("graph", torch.eye(3).to_sparse())
        self.register_buffer("places", torch.arange(3.0).expand(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "head"):
            self.head = nn.Linear(3, 3)
            self.scale = nn.Parameter(torch.rand(3))
        self.graph.mul_(2.0)
        return self.head(x @ self.graph.to_dense()) * self.scale + self.places.sum()  # type: ignore[no-any-return]


class _All(nn.Module):
    """All of them, one after the other, in a list; two share a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([_Reassigns(), _Creates(), _Deletes(), _Grows(), _Flips(), nn.BatchNorm1d(3)])
        self.parts[2].register_buffer("shared", self.parts[0].size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            x = part(x)
        return x


KINDS = (_Reassigns, _Creates, _Deletes, _Grows, _Flips, _Builds, _All)


def _state(model: nn.Module) -> dict[str, Any]:
    """Everything that a forward could have changed."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if not key.startswith("_"):
                found[f"{name}.{key}"] = value.clone() if isinstance(value, torch.Tensor) else value
        found[f"{name} order"] = [*module._buffers]
        found[f"{name} persistent"] = {*module._non_persistent_buffers_set}
        for key, buffer in module._buffers.items():
            found[f"{name}.{key}"] = None if buffer is None else (id(buffer), buffer.dtype, buffer.clone())
    return found


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        left, right = left.to_dense(), right.to_dense()
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_module_is_what_it_was(kind: type[nn.Module], before: int) -> None:
    """Buffers that a forward replaces, makes, deletes or resizes, flags and counters: the same objects and numbers."""
    torch.manual_seed(0)
    model = kind()
    for _ in range(before):
        model(torch.randn(4, 3))
    state = _state(model)
    with no_trace(model):
        for length in (4, 6):
            model(torch.randn(length, 3))
    after = _state(model)
    assert after.keys() == state.keys()
    assert [name for name in state if not _same(state[name], after[name])] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [False, True])
def test_forwards_after_it_are_those_without_it(kind: type[nn.Module], error: bool) -> None:
    """Outputs and states with paired forwards are those without, also where one ends in an error."""
    found = []
    for paired in (False, True):
        torch.manual_seed(0)
        model, outputs = kind(), []
        for step in range(4):
            x = torch.randn(4 + step, 3)
            if paired:
                with pytest.raises(ZeroDivisionError) if error else nullcontext(), no_trace(model):
                    model(torch.randn(5 + step, 3))
                    assert not error or 1 / 0
            outputs.append(model(x).detach())
        found.append((outputs, model.state_dict()))
    (without, state), (with_pairs, state_too) = found
    assert all(map(torch.equal, without, with_pairs))
    assert state.keys() == state_too.keys()
    assert all(_same(state[name], state_too[name]) for name in state)


def test_a_module_of_torchs_own_keeps_its_books() -> None:
    """A compiled or parallel module's attributes are left alone; whether it trains is not."""
    model = nn.Linear(3, 3)
    with no_trace(model):
        model.eval()
        model.note = "kept"  # type: ignore[assignment]
    assert (model.training, model.note) == (True, "kept")


class Scaled(nn.Module):
    """One with a parameter, a buffer and a note of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.weight, self.calls = nn.Linear(3, 3), nn.Parameter(torch.ones(3)), 0
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> Any:
        self.calls += 1
        self.seen += x.mean(0)
        return self.inner(x) * self.weight


@pytest.fixture
def mesh() -> Iterator[Any]:
    """A process of its own: what is sharded over it is exchanged as it is over several."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.skipif(not FSDP2, reason="this torch has no fully_shard")
def test_a_sharded_model_trains_on(mesh: Any) -> None:
    """The parameters stay those that FSDP2 has put there, whole or in parts; buffers and notes are as before."""
    found = []
    for paired in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(Scaled(), Scaled())
        for module in (model[0], model):
            fully_shard(module, mesh=mesh)
        optimizer, generator = torch.optim.SGD(model.parameters(), 0.1), torch.Generator().manual_seed(1)
        for _ in range(3):
            if paired:
                with no_trace(model):
                    model(torch.randn(5, 3))
            model(torch.randn(4, 3, generator=generator)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        found.append([p.full_tensor() for p in model.parameters()] + [*model.buffers(), torch.tensor(model[0].calls)])
    assert all(map(torch.equal, *found))


def test_a_container_that_is_not_torchs_is_left_alone() -> None:
    """DeepSpeed's ZeRO-3 puts parameters into one that cannot be copied and counts what is taken from it."""

    class Counting(OrderedDict[str, Any]):
        def __init__(self, owner: nn.Module) -> None:
            super().__init__(owner._parameters)

        def clear(self) -> None:
            raise AssertionError

        def __reduce__(self) -> Any:
            raise AssertionError

    model = Scaled()
    model._parameters = Counting(model)
    with no_trace(model):
        model(torch.randn(5, 3))
    assert type(model._parameters) is Counting
    assert (model.calls, model.seen.tolist()) == (0, [0.0] * 3)


def test_lazy_modules_are_left_to_their_first_forward() -> None:
    """A buffer that has no shape yet stops nothing."""
    model = nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    with no_trace(model):
        model(torch.randn(4, 3))
    assert model(torch.randn(4, 3)).shape == (4, 2)
