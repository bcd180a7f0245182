"""From an unreduced loss tensor to one loss per example, and the contract that a trainer's loss code implements."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from loss_logging.records.record import RecordLike, SampleRecord

if TYPE_CHECKING:
    import torch

__all__ = ["compute_per_example_loss", "per_example_loss"]

Numbers: TypeAlias = "torch.Tensor | Sequence[float]"


def per_example_loss(loss: torch.Tensor) -> torch.Tensor:
    """Average an unreduced loss over every dimension except the batch.

    The mean of the result is the mean of ``loss``. Include each factor that the trainer multiplies in before it
    averages: with masked training pass ``loss * mask``. The result is then, like the trainer's scalar, proportional to
    the covered area (kohya sd-scripts, diffusers; masks are not renormalised). To record the unweighted loss, call this
    function before weights such as min-SNR are multiplied in, and log the weights as a component.

    Args:
        loss: (B, ...) floating point, any number of dimensions from 1 up, e.g. (B, C, H, W) image latents,
            (B, C, T, H, W) video latents, (B, T) tokens. B may be 0.

    Returns:
        (B,) float32, detached, on the device of ``loss``. It never shares memory with ``loss``, so a later in-place
        change of ``loss`` does not change it. The call does not wait for the device.

    Raises:
        TypeError: ``loss`` is not a torch tensor, or is not floating point.
        ValueError: ``loss`` is a scalar, or its examples have no elements.

    Example:
        >>> import torch
        >>> error = torch.tensor([[1.0, 3.0], [0.0, 1.0]])
        >>> per_example_loss(error)
        tensor([2.0000, 0.5000])
    """
    import torch

    if not isinstance(loss, torch.Tensor):
        raise TypeError(
            f"loss is a {type(loss).__name__}; expected a torch.Tensor (B, ...); convert with torch.as_tensor"
        )
    if not loss.is_floating_point():
        raise TypeError(f"loss has dtype {loss.dtype}; expected a floating-point tensor, the unreduced loss")
    if loss.ndim == 0:
        raise ValueError(
            "loss is a scalar, shape (); expected at least one value per example, shape (B, ...): compute it with "
            'reduction="none", or take it from capture_per_example_loss'
        )
    if loss.ndim == 1:
        return loss.detach().to(torch.float32, copy=True)
    if loss.shape[1:].numel() == 0:
        raise ValueError(f"loss has shape {tuple(loss.shape)}; its examples have no elements to average")
    accumulate = torch.float64 if loss.dtype == torch.float64 else torch.float32
    return loss.detach().mean(tuple(range(1, loss.ndim)), dtype=accumulate).float()


def compute_per_example_loss(
    loss: torch.Tensor,
    *,
    paths: Sequence[str | os.PathLike[str]],
    datasets: str | Sequence[str | None],
    captions: Sequence[str],
    timesteps: Numbers | None = None,
    loss_empty: Numbers | None = None,
    components: Mapping[str, Numbers] | None = None,
    loss_rival: Numbers | None = None,
    rivals: Sequence[str | None] | None = None,
) -> list[SampleRecord]:
    """Turn a batch's unreduced loss into one SampleRecord per example.

    It reads the values on the host, which waits for the device. It is meant for evaluation and adapters; a training
    loop calls ``LossLogger.log_batch`` with the tensor instead.

    Args:
        loss: (B, ...) unreduced loss, see :func:`per_example_loss`.
        paths: B file paths or other keys that identify the item within its dataset.
        datasets: B names, or one name for the whole batch; ``None`` and ``""`` count as "unknown".
        captions: B captions, as the model was conditioned on them.
        timesteps: (B,) timesteps on any one scale.
        loss_empty: (B,) or (B, ...) loss of the same examples with the empty caption, at the same noise and timestep.
        components: name -> (B,) or (B, ...) weights and additional terms.
        loss_rival: as ``loss_empty``, with the caption of a rival; with those of several their mean. NaN for none.
        rivals: B captions of rivals; None and "" where there is none.

    Returns:
        B records in the order of the batch, ``step`` 0; their values are exactly ``float(tensor[i])``.

    Raises:
        TypeError: an argument or one of its elements has the wrong type.
        ValueError: an argument's length is not B; the message names the argument, its length and B.

    Example:
        >>> import torch
        >>> error = torch.tensor([[1.0, 3.0], [0.0, 1.0]])
        >>> records = compute_per_example_loss(error, paths=["a.png", "b.png"], datasets="cats", captions=["a cat", ""])
        >>> records[0].path, records[0].dataset, records[0].loss
        ('a.png', 'cats', 2.0)
    """
    losses: list[float] = per_example_loss(loss).tolist()
    batch_size = len(losses)
    path_list = [os.fspath(path) for path in _checked("paths", paths, batch_size, (str, os.PathLike))]
    caption_list = _checked("captions", captions, batch_size, (str,))
    names = [datasets] * batch_size if isinstance(datasets, str) else datasets
    dataset_list = [name or "unknown" for name in _checked("datasets", names, batch_size, (str, type(None)))]
    timestep_list = _numbers("timesteps", timesteps, batch_size, unreduced=False)
    empty_list = _numbers("loss_empty", loss_empty, batch_size)
    rival_losses = _numbers("loss_rival", loss_rival, batch_size)
    rival_list = _checked("rivals", rivals or [None] * batch_size, batch_size, (str, type(None)))
    columns = {
        name: _numbers(f"components[{name!r}]", values, batch_size) for name, values in (components or {}).items()
    }
    return [
        SampleRecord(
            path=path_list[i],
            dataset=dataset_list[i],
            caption=caption_list[i],
            loss=losses[i],
            timestep=timestep_list[i],
            loss_empty=empty_list[i],
            components={name: value for name, column in columns.items() if (value := column[i]) is not None},
            loss_rival=rival_losses[i],
            rival=rival_list[i],
        )
        for i in range(batch_size)
    ]


def _checked(name: str, values: Any, batch_size: int, types: tuple[type, ...]) -> list[Any]:
    """``values`` as a list of ``batch_size`` elements, each of one of ``types``."""
    if isinstance(values, (str, bytes, os.PathLike)):
        raise TypeError(
            f"{name} is one {type(values).__name__}, {values!r}; pass a sequence of {batch_size}, one per example"
        )
    try:
        elements = list(values)
    except TypeError:
        raise TypeError(
            f"{name} is a {type(values).__name__}; pass a sequence of {batch_size}, one per example"
        ) from None
    _check_length(name, len(elements), batch_size)
    for i, element in enumerate(elements):
        if not isinstance(element, types):
            allowed = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
            raise TypeError(f"{name}[{i}] is {element!r}, a {type(element).__name__}; expected {allowed}")
    return elements


def _check_length(name: str, length: int, batch_size: int) -> None:
    if length != batch_size:
        raise ValueError(f"{name} has length {length}, but loss has batch size {batch_size}; pass one per example")


def _numbers(name: str, values: Any, batch_size: int, unreduced: bool = True) -> list[float] | list[None]:
    """``values`` as ``batch_size`` floats; with ``unreduced``, a tensor (B, ...) is averaged per example."""
    if values is None:
        return [None] * batch_size
    if shape := tuple(getattr(values, "shape", ())):
        _check_length(name, shape[0], batch_size)
    if len(shape) > 1:
        if not unreduced:
            raise ValueError(f"{name} has shape {shape}; expected ({batch_size},), one number per example")
        values = per_example_loss(values)
    if hasattr(values, "tolist"):
        values = values.tolist()
    return [float(value) for value in _checked(name, values, batch_size, (int, float))]


class ComputePerExampleLoss(Protocol):
    """The per-example loss contract: a trainer implements it so that its own loss can be logged and evaluated.

    An implementation must fulfil the following points, and its tests should prove each.

    1. *One record per example*, in the order of the batch, with ``path``, ``dataset``, ``caption`` and ``loss``. A row
       that the trainer adds for an item (a second caption, a flipped copy) is a separate record with the same path.
    2. *Parity.* ``loss`` is the unweighted loss of that example alone, with the target, prediction type, timestep
       sampling, masks and loss type of the training. Without weights, the mean of the records' losses equals the
       trainer's scalar to float32 accuracy; with weights, ``mean(weight * loss)`` does; the weights are a component.
    3. *No trace.* Nothing stays changed: no gradient is accumulated, and train/eval flags of modules are restored. It
       runs under ``torch.no_grad()`` unless the trainer back-propagates through it.
    4. ``mode="train"``: as in training, with dropout, caption dropout and fresh noise; ``caption`` is the used text,
       and ``caption_dropped`` tells whether it was dropped.
    5. ``mode="eval"``: no dropout of any kind. Noise and timesteps depend on the example, and not on the composition
       or order of the batch. Two calls on the same batch give the same numbers; a caller that needs several draws
       passes them in the batch.
    6. ``train_config`` is the trainer's own configuration object; it is read, never changed.

    Args:
        model: the model that the trainer trains.
        batch: one batch of the trainer's loader.
        train_config: the trainer's configuration.
        mode: ``"train"`` or ``"eval"``.

    Returns:
        B SampleRecords, or mappings with at least ``path, dataset, caption, loss``.

    Example:
        >>> import torch
        >>> import torch.nn.functional as F
        >>> def denoising_loss(model, batch, train_config, mode="train"):
        ...     was_training = model.training
        ...     model.train(mode == "train")
        ...     generator = torch.Generator().manual_seed(train_config["seed"]) if mode == "eval" else None
        ...     one = torch.randn(batch["latents"].shape[1:], generator=generator)  # in eval the same for every example
        ...     noise = one.expand_as(batch["latents"]) if mode == "eval" else torch.randn_like(batch["latents"])
        ...     with torch.no_grad():
        ...         error = F.mse_loss(model(batch["latents"] + noise), noise, reduction="none")
        ...     model.train(was_training)
        ...     return compute_per_example_loss(
        ...         error, paths=batch["paths"], datasets=batch["datasets"], captions=batch["captions"]
        ...     )
        >>> compute: ComputePerExampleLoss = denoising_loss
        >>> batch = {
        ...     "latents": torch.zeros(2, 4),
        ...     "paths": ["a", "b"],
        ...     "datasets": ["cats", "dogs"],
        ...     "captions": ["a cat", "a dog"],
        ... }
        >>> records = compute(torch.nn.Identity(), batch, {"seed": 0}, mode="eval")
        >>> [(record.path, record.dataset, record.loss) for record in records]
        [('a', 'cats', 0.0), ('b', 'dogs', 0.0)]

    To evaluate a dataset with it, bind the model: ``evaluate_dataset(lambda batch: compute(model, batch, config,
    mode="eval"), loader)``.
    """

    def __call__(
        self, model: Any, batch: Any, train_config: Any, mode: Literal["train", "eval"] = "train"
    ) -> Sequence[RecordLike]: ...
