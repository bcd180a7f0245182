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
    are what they were, to the bit, and so are the buffers of ``modules``, which batch norm changes in a forward.

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
            for buffer in [buffer for module in modules for buffer in module.buffers()]:
                stack.callback(_copy, buffer, buffer.detach().clone())
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


def _copy(buffer: torch.Tensor, kept: torch.Tensor) -> None:
    buffer.detach().copy_(kept)
