"""Facts about a tensor that torch has no public function for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.multiprocessing.reductions import StorageWeakRef

__all__ = ["Memory", "address", "has_unseen_scalar", "is_parameter", "is_transformed", "unwrapped", "version"]

_NEAREST = 32


def version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def address(tensor: torch.Tensor) -> int:
    """The address of the memory, for torch.func's wrappers of the tensor inside."""
    return unwrapped(tensor)[0].untyped_storage().data_ptr()


class Memory:
    """When something last happened to the memory of tensors; of memory that is free again, nothing has.

    Code that no mode sees, such as a compiled model, makes tensors where those of FSDP were a moment before.

    Attributes:
        times: by address; empty while nothing has happened, which is asked at each call.
    """

    def __init__(self) -> None:
        self.times: dict[int, tuple[int, StorageWeakRef]] = {}

    def note(self, tensor: torch.Tensor, time: int) -> None:
        """It happened at ``time``, 0 or later."""
        from torch.multiprocessing.reductions import StorageWeakRef

        storage = unwrapped(tensor)[0].untyped_storage()
        self.times[address(tensor)] = time, StorageWeakRef(storage)  # type: ignore[no-untyped-call, unused-ignore]

    def time_of(self, tensor: torch.Tensor) -> int:
        """When it happened to the tensor's memory; -1 if it never did."""
        if not self.times:
            return -1
        where = address(tensor)
        time, of = self.times.get(where, (-1, None))
        if of is None:
            return -1
        import torch

        storage = torch.UntypedStorage._new_with_weak_ptr(of.cdata)
        return time if storage is not None and storage.data_ptr() == where else -1

    def __bool__(self) -> bool:
        return bool(self.times)


def is_parameter(tensor: torch.Tensor) -> bool:
    import torch

    return isinstance(tensor, torch.nn.Parameter)


def is_transformed(tensor: torch.Tensor) -> bool:
    import torch

    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def unwrapped(tensor: torch.Tensor) -> tuple[torch.Tensor, int | None]:
    """The tensor below torch.func's wrappers, and the dimension that vmap maps."""
    import torch

    functorch, dim = torch._C._functorch, None
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            dim = functorch.maybe_get_bdim(tensor) if dim is None else -1  # mapped twice: of no use here
        tensor = functorch.get_unwrapped(tensor)
    return tensor, dim


def has_unseen_scalar(tensor: torch.Tensor) -> bool:
    """Whether code that no mode sees (a compiled model) made another scalar on the way to ``tensor``.

    It looks only at the nearest nodes of the graph: such code comes late, and a model without it has hundreds of nodes.
    """
    import torch

    waiting, seen = [tensor.grad_fn], set[Any]()
    while waiting and len(seen) < _NEAREST:
        node = waiting.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            scalars = sum(len(made.shape) == 0 for made in node._input_metadata)
            if scalars > (node is tensor.grad_fn):
                return True
        waiting += [before for before, _ in node.next_functions]
    return False
