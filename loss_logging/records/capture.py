"""capture_per_example_loss: the per-example losses of code that only returns their mean, without editing that code."""

from __future__ import annotations

import functools
import sys
import types as types_
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loss_logging.records.dataflow.facts import Mean, Opaque
from loss_logging.records.dataflow.trace import Trace
from loss_logging.records.dataflow.usual_calls import CHANGES_ARGUMENTS, usual_calls, ways, without_result

if TYPE_CHECKING:
    import torch

__all__ = ["CapturedLosses", "capture_per_example_loss"]


class CapturedLosses:
    """The result of :func:`capture_per_example_loss`; complete once its block has ended."""

    def __init__(self, batch_size: int, blocks: int = 1) -> None:
        self.batch_size = batch_size
        self._trace = Trace(batch_size, blocks)
        self._chosen: Mean | Opaque | None = None
        self._verdict: tuple[torch.Tensor | None, str | None] | None = None

    @property
    def losses(self) -> torch.Tensor | None:
        """(B,) float32, detached, on the device of the loss; its mean is the scalar. None: see :attr:`reason`.

        Reading it waits for the device only after ``cross_entropy`` with class indices, whose ignored targets have to
        be counted.
        """
        return self._judge()[0]

    @property
    def reason(self) -> str | None:
        """The reason why ``losses`` is None; None if there are losses."""
        return self._judge()[1]

    def check(self, loss: torch.Tensor) -> bool:
        """Name the scalar that the code returned; ``losses`` then belongs to it.

        Needed wherever the block may make other scalars than the loss, or the loss where no torch call is seen: see
        :func:`capture_per_example_loss`.

        Returns:
            True if the per-example losses of exactly this scalar are known.
        """
        self._chosen = self._guarded(lambda: self._trace.checked(loss))
        self._verdict = None
        return self.losses is not None

    def _end(self) -> None:
        """Choose the scalar before the tensors of the block change."""
        if self._chosen is None:
            self._chosen = self._guarded(self._trace.choose)

    def _judge(self) -> tuple[torch.Tensor | None, str | None]:
        if self._verdict is None:
            if self._chosen is None:
                return None, "the block has not ended, or it raised"
            try:
                self._verdict = _verdict(self._chosen)
            except Exception as error:  # noqa: BLE001 the training goes on, whatever it is
                self._trace.broke(error)
                self._verdict = None, self._trace.broken
        return self._verdict

    def _guarded(self, choose: Callable[[], Mean | Opaque]) -> Mean | Opaque:
        try:
            return choose()
        except Exception as error:  # noqa: BLE001 the training goes on, whatever it is
            self._trace.broke(error)
            return Opaque(str(self._trace.broken))


def _verdict(chosen: Mean | Opaque) -> tuple[torch.Tensor | None, str | None]:
    if isinstance(chosen, Opaque):
        return None, chosen.why
    if chosen.factor is None:
        return None, "the mean was multiplied or divided by a tensor; capture it before that, or use check(mean)"
    for holds, otherwise in chosen.conditions:
        if not bool(holds):
            return None, otherwise
    return (chosen.rows if chosen.factor == 1.0 else chosen.rows * chosen.factor).float(), None


def is_in_compiled_code(frame: types_.FrameType | None, func: Callable[..., Any]) -> bool:
    """Whether code that torch.compile generated makes the call; such code reuses its buffers."""
    for _ in range(3):
        if frame is None:
            return False
        if "extern_kernels" in frame.f_globals or frame.f_globals.get("__name__", "").startswith(
            "torch._functorch._aot"
        ):
            return True
        if frame.f_code.co_filename.startswith("<eval_with_key") and hasattr(func, "overloadpacket"):
            return True
        frame = frame.f_back
    return False


def with_weight(l1_loss: Callable[..., Any], types: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments that the user gave. torch 2.13 itself drops l1_loss's weight while a mode is active.

    Where it would do so without us, because of other modes or tensor types, it is left out.
    """
    import torch
    from torch.overrides import _get_current_function_mode_stack as modes

    if "weight" in kwargs or any(kind not in (torch.Tensor, torch.nn.Parameter) for kind in types):
        return kwargs
    if not all(isinstance(mode, _mode()) for mode in modes()):  # type: ignore[no-untyped-call]
        return kwargs
    frame: types_.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not l1_loss.__code__:
        frame = frame.f_back
    weight = None if frame is None else frame.f_locals.get("weight")
    return kwargs if weight is None else {**kwargs, "weight": weight}


@contextmanager
def capture_per_example_loss(batch_size: int, *, blocks: int = 1) -> Iterator[CapturedLosses]:
    """Obtain the per-example losses of code that only returns a scalar, without editing it.

    Inside the block every torch call is followed. A tensor from outside whose first dimension is B has one example per
    row. From there, the function follows which dimensions carry the examples, and in which order, through elementwise
    functions, views, reshapes, reductions, products and the layers of models. It splits ``mean`` and ``sum`` into the
    shares of the examples if all examples enter them equally (also flattened, transposed, with frames in the batch, or
    in a loop over the examples). It also splits these functions of ``torch.nn.functional`` and their modules:
    ``mse_loss``, ``l1_loss``, ``smooth_l1_loss``, ``huber_loss``, ``binary_cross_entropy``,
    ``binary_cross_entropy_with_logits``, ``kl_div``, ``poisson_nll_loss``, ``soft_margin_loss``, ``cross_entropy`` and
    ``nll_loss``. Afterwards the scalar may be cast, detached, added to a total that is zero, and multiplied or divided
    by numbers, as for gradient accumulation.

    ``captured.losses`` is (B,), in the order of the batch, and its mean equals the scalar, weights and factors
    included, to float32 accuracy or to that of the scalar's dtype where it is less. A ``weight=`` that divides by its
    own sum is included in the same way: each row is the example's share, B times its weighted sum over the sum of all
    weights. Otherwise ``losses`` is None, and ``captured.reason`` says why. It is None rather than wrong:

    * when a term was added to the mean, or two means were summed (prior preservation): add the terms per example;
    * when examples were reordered, mixed or selected by their values, and after any unknown function;
    * when ``cross_entropy`` or ``nll_loss`` has class weights, or ignores more targets of one example than of another:
      a mean over all tokens weights examples by their length;
    * when the block leaves several scalars with a gradient alive, or none.

    **When to name the loss.** ``captured.check(loss)`` says which scalar is meant. Without it, the answer is about the
    only scalar that is alive at the end of the block and requires a gradient, or that ``backward`` was called on in the
    block. That is safe for a plain block: training code whose loss is made by torch calls. In all other cases call
    ``check``: without gradients (evaluation), if metrics with a gradient stay alive, and if code without visible torch
    calls may make the loss (``torch.compile``, ``torch.jit``, an ``autograd.Function``, NumPy, other threads). The
    losses behind such a scalar are unknown, and ``check`` says so. ``check`` costs nothing, and never answers for
    another scalar.

    The scalar, the gradient and the random state are bit for bit what they are without the block. Autocast,
    ``no_grad``, ``inference_mode``, ``backward`` in the block, compiled models, ``vmap`` and blocks within blocks work.
    An error in the tracking code makes the answer None; it never reaches the training.

    Limits: the first dimension of a tensor from outside counts as the batch if it has length B; the same holds for
    tensors that invisible code makes in the block. Rows stay known after ``batch_norm``, whose statistics are over the
    batch. A number taken out of torch (``item``) and multiplied in again counts as any other number.

    Cost: the unreduced loss is computed a second time, without a graph, in pieces of at most 64 MiB of float32, and
    every torch call in the block passes through Python: about 0.1 to 0.3 ms per block and 3 to 10 us per call on a
    CPU, of which torch itself takes more than half (``python -m benchmarks.capture``). If possible, keep only the loss
    in the block.

    Args:
        batch_size: B, the number of rows of the tensors that the loss is computed from.
        blocks: the number of blocks of B rows in tensors with ``blocks * B`` rows. Each block holds all examples, such
            as the chosen and the rejected answers of preference training.

    Raises:
        ValueError: ``batch_size`` or ``blocks`` is not a positive integer.

    Example:
        >>> import torch
        >>> import torch.nn.functional as F
        >>> prediction, target = torch.tensor([[1.0, 3.0], [0.0, 1.0]], requires_grad=True), torch.zeros(2, 2)
        >>> with capture_per_example_loss(batch_size=2) as captured:
        ...     loss = F.mse_loss(prediction, target)
        >>> loss.item(), captured.losses
        (2.75, tensor([5.0000, 0.5000]))
    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}; expected the number of examples, an integer of 1 or more")
    if not isinstance(blocks, int) or isinstance(blocks, bool) or blocks < 1:
        raise ValueError(
            f"blocks is {blocks!r}; expected the number of blocks of all examples, an integer of 1 or more"
        )
    captured = CapturedLosses(batch_size, blocks)
    with _mode()(captured._trace):
        yield captured
    captured._end()


@functools.cache
def _mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    tensor, is_compiling, way_of, matters = torch.Tensor, torch.compiler.is_compiling, ways().get, without_result()

    class CaptureMode(TorchFunctionMode):
        def __init__(self, trace: Trace) -> None:
            super().__init__()
            self.trace = trace
            self.is_usual = usual_calls(trace)

        def __torch_function__(
            self,
            func: Callable[..., Any],
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            if is_compiling():  # otherwise the compiler traces the bookkeeping into the user's graph
                return func(*args, **(kwargs or {}))
            way = way_of(func)
            if way == CHANGES_ARGUMENTS or (kwargs and "out" in kwargs and kwargs["out"] is not None):
                return _with_care(self.trace, func, types, args, kwargs or {})
            result = func(*args, **kwargs) if kwargs else func(*args)
            if type(result) is tensor:
                try:
                    if self.is_usual(way, args, kwargs, result):
                        return result
                except RuntimeError:  # of a nested tensor, which has no shape
                    pass
                except Exception as error:  # noqa: BLE001 the training goes on, whatever it is
                    self.trace.broke(error)
            elif type(result) is torch.Size or not (isinstance(result, (tuple, list, tensor)) or func in matters):
                return result
            _look(self.trace, sys._getframe(1), (func, args, kwargs or {}, result))
            return result

    return CaptureMode


def _with_care(
    trace: Trace, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """A call that may change its arguments; note their facts first."""
    import torch

    before = None
    try:
        if func is torch.nn.functional.l1_loss:
            kwargs = with_weight(func, types, kwargs)
        if trace.broken is None:
            with torch._C.DisableTorchFunction():
                before = trace.before_change(func, args, kwargs)
    except Exception as error:  # noqa: BLE001 the training goes on, whatever it is
        trace.broke(error)
    result = func(*args, **kwargs)
    _look(trace, sys._getframe(2), (func, args, kwargs, result, before))
    return result


def _look(trace: Trace, caller: types_.FrameType, seen: tuple[Any, ...]) -> None:
    """Tell the trace about a call of the user's code."""
    import torch

    if trace.broken is not None:
        return
    try:
        if not is_in_compiled_code(caller, seen[0]):
            with torch._C.DisableTorchFunction():
                trace.observe(*seen)
    except Exception as error:  # noqa: BLE001 the training goes on, whatever it is
        trace.broke(error)
