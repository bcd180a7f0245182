"""A diffusers pipeline in a folder, loaded for evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers.diffusers import PipelineLoss

__all__ = ["pipeline_loss"]


def pipeline_loss(
    folder: str | Path,
    *,
    device: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    **options: Any,
) -> PipelineLoss:
    """Load the pipeline in ``folder`` and make a compute function of it. Nothing is downloaded.

    Args:
        folder: what ``save_pretrained`` wrote, with its model_index.json.
        device: what to compute on; a GPU where there is one by default.
        dtype: precision of the text encoders and the denoiser; by default bfloat16 on a GPU and float32 elsewhere. The
            VAE is in float32: SDXL's overflows in float16.
        options: those of `PipelineLoss`.

    Raises:
        ConfigError: the folder holds no pipeline, or one that is not known; or there is no such device.
    """
    import torch
    from diffusers import DiffusionPipeline

    path = Path(folder).expanduser()
    if not (path / "model_index.json").is_file():
        raise ConfigError(f"$.pipeline: {path} holds no model_index.json; allowed: the folder of a diffusers pipeline")
    where = _device(device)
    precision = getattr(torch, dtype or ("float32" if where.type == "cpu" else "bfloat16"))
    precisions = {"default": precision, "vae": torch.float32}
    pipeline = DiffusionPipeline.from_pretrained(path, dtype=precisions, local_files_only=True)
    return PipelineLoss(pipeline.to(where), **options)


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        available = (kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available())
        return torch.device(next(available, "cpu"))
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f'$.model.device: {name!r} cannot be used here ({reason}); leave it out, or use "cpu"'
        ) from error
    return torch.device(name)
