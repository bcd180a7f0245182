"""The extra forward of a paired step: it leaves no trace in training."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["is_sharded", "no_trace"]

_SHARDERS = {"FSDPModule", "FullyShardedDataParallel"}
"""Classes of torch that keep a module's parameters in parts."""

_CONTAINERS = (dict, OrderedDict, set)
"""What torch keeps a module's parts in. Whoever puts another kind there, such as DeepSpeed, looks after it."""


def is_sharded(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether a forward of these takes all ranks: FSDP or DeepSpeed's ZeRO-3 has divided their parameters.

    Example:
        >>> import torch
        >>> is_sharded([torch.nn.Linear(2, 2)])
        False
    """
    modules = list(modules)
    by_deepspeed = (hasattr(parameter, "ds_id") for module in modules for parameter in module.parameters())
    return bool(_sharded_among(modules)) or any(by_deepspeed)


@contextmanager
def no_trace(*modules: torch.nn.Module) -> Iterator[None]:
    """Undo all side effects of the code in the block on random states and modules.

    No gradient is recorded. Afterwards the random states of Python, NumPy and torch (the CPU, all CUDA devices, MPS)
    have their earlier values to the bit. The same holds for ``modules`` and the modules in them: their buffers, also
    if a forward replaces, makes or deletes them; their train or eval mode; and the objects that their attributes refer
    to, if a forward counts or stores something. The content of an attribute, such as a list, is not restored.

    Example:
        >>> with no_trace():
        ...     inside = random.random()
        >>> random.random() == inside
        True
    """
    with ExitStack() as stack:
        for restore in _restorers():
            stack.callback(restore)
        if (torch := sys.modules.get("torch")) is not None:
            sharded = _sharded_among(modules)
            for module in {module: None for root in modules for module in root.modules()}:
                stack.callback(_attributes_of(module, is_sharded=module in sharded))
            for buffer in {buffer: None for module in modules for buffer in module.buffers()}:
                if not torch.nn.parameter.is_lazy(buffer):  # a lazy buffer has no data before its first forward
                    stack.callback(_contents_of(buffer))
            # Older torch reuses weights that autocast converted under no_grad in the training forward, where they
            # get no gradient.
            stack.callback(torch.clear_autocast_cache)
            stack.enter_context(torch.no_grad())
        yield


def _restorers() -> Iterator[Callable[[], Any]]:
    """Functions that set each random generator in use back to its present state."""
    state = random.getstate()
    yield lambda: random.setstate(state)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy_state = numpy.random.get_state()
        yield lambda: numpy.random.set_state(numpy_state)
    if (torch := sys.modules.get("torch")) is not None:
        torch_state = torch.get_rng_state()
        yield lambda: torch.set_rng_state(torch_state)
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            cuda_states = torch.cuda.get_rng_state_all()
            yield lambda: torch.cuda.set_rng_state_all(cuda_states)
        if torch.backends.mps.is_available():
            mps_state = torch.mps.get_rng_state()
            yield lambda: torch.mps.set_rng_state(mps_state)


def _sharded_among(modules: Iterable[torch.nn.Module]) -> set[torch.nn.Module]:
    """The modules whose parameters FSDP exchanges for whole ones and back, in an order of its own."""
    all_of_them = (module for root in modules for module in root.modules())
    return {inner for module in all_of_them if _SHARDERS & _names_of(module) for inner in module.modules()}


def _names_of(module: torch.nn.Module) -> set[str]:
    return {kind.__name__ for kind in type(module).__mro__}


def _own_kind(module: torch.nn.Module) -> type:
    """Its class before ``fully_shard`` made another one of it."""
    kinds = type(module).__mro__
    return kinds[2] if kinds[1].__name__ == "FSDPModule" else kinds[0]


def _attributes_of(module: torch.nn.Module, *, is_sharded: bool) -> Callable[[], None]:
    """A function that restores the present attributes of the module."""
    attributes = vars(module)
    # The wrappers of torch's own (of compiled, parallel and sharded modules) keep their books in attributes.
    is_torchs = _own_kind(module).__module__.partition(".")[0] == "torch"
    plain = {"training": module.training} if is_torchs else dict(attributes)
    of_the_user = () if is_torchs else ("_modules",) if is_sharded else ("_parameters", "_modules")
    inside = ("_buffers", "_non_persistent_buffers_set", *of_the_user)
    containers = {name: attributes[name] for name in inside if type(attributes.get(name)) in _CONTAINERS}
    contents = {name: container.copy() for name, container in containers.items()}

    def restore() -> None:
        for name in () if is_torchs else attributes.keys() - plain.keys():
            del attributes[name]
        attributes.update(plain)
        for name, container in containers.items():
            container.clear()
            container.update(contents[name])

    return restore


def _contents_of(buffer: torch.Tensor) -> Callable[[], None]:
    """A function that restores the present memory, shape and values of the buffer."""
    torch = sys.modules["torch"]
    memory, kept = buffer.detach(), buffer.detach().clone()
    is_plain = type(buffer) is torch.Tensor and buffer.layout == torch.strided
    is_written = not (is_plain and 0 in buffer.stride() and buffer.numel() > 1)  # an expanded buffer cannot be written

    def restore() -> None:
        if is_plain and not (buffer.dtype == memory.dtype and buffer.is_set_to(memory)):
            buffer.data = memory
        if is_written:
            with torch.no_grad():
                buffer.copy_(kept)

    return restore
