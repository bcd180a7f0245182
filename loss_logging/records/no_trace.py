"""The extra forward of a paired step: it leaves no trace in training."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["no_trace"]


@contextmanager
def no_trace(*modules: torch.nn.Module) -> Iterator[None]:
    """Whatever is drawn and computed inside, what follows is as if it had not been.

    No gradient is recorded. Afterwards the random states of Python, NumPy and torch (the CPU, all CUDA devices, MPS)
    are what they were, to the bit, and so are ``modules`` and the modules in them: their buffers, also those that a
    forward replaces, makes or deletes; whether they train; and what their attributes refer to, where a forward counts
    or keeps something. What is inside of an attribute, such as a list, is not looked at.

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
            for module in {module: None for root in modules for module in root.modules()}:
                stack.callback(_attributes_of(module))
            for buffer in {buffer: None for module in modules for buffer in module.buffers()}:
                if not torch.nn.parameter.is_lazy(buffer):  # one that is made by its first forward has nothing yet
                    stack.callback(_contents_of(buffer))
            # Older torch keeps weights that autocast converted under no_grad for the forward that trains, where
            # they get no gradient.
            stack.callback(torch.clear_autocast_cache)
            stack.enter_context(torch.no_grad())
        yield


def _restorers() -> Iterator[Callable[[], Any]]:
    """What sets each random generator that is in use back to where it is now."""
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


def _attributes_of(module: torch.nn.Module) -> Callable[[], None]:
    """What has the module refer to what it does now."""
    attributes = vars(module)
    # The wrappers of torch's own (of compiled, parallel and sharded modules) keep their books in attributes.
    is_torchs = type(module).__module__.partition(".")[0] == "torch"
    plain = {"training": module.training} if is_torchs else dict(attributes)
    inside = ("_buffers", "_non_persistent_buffers_set", *(() if is_torchs else ("_parameters", "_modules")))
    containers = {name: attributes[name] for name in inside if name in attributes}
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
    """What gives the buffer the memory, the shape and the numbers that it has now."""
    torch = sys.modules["torch"]
    memory, kept = buffer.detach(), buffer.detach().clone()
    is_plain = type(buffer) is torch.Tensor and buffer.layout == torch.strided
    is_written = not (is_plain and 0 in buffer.stride() and buffer.numel() > 1)  # an expanded one cannot be

    def restore() -> None:
        if is_plain and not (buffer.dtype == memory.dtype and buffer.is_set_to(memory)):
            buffer.data = memory
        if is_written:
            with torch.no_grad():
                buffer.copy_(kept)

    return restore
