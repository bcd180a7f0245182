"""A trained pipeline as a compute function: a package registers what loads the pipelines of its library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal, Protocol, TypeAlias

from msgspec import Meta

from loss_logging.errors import ConfigError
from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.image_batches import open_rows
from loss_logging.evaluation.tensor_cache import TensorCache
from loss_logging.records.record import SampleRecord
from loss_logging.support.checked_config import Check, CheckedConfig, Count
from loss_logging.support.names import near_miss

__all__ = ["ENTRY_POINT_GROUP", "ModelConfig", "PipelineFunction", "PipelineOnImages", "Positive"]

ENTRY_POINT_GROUP = "loss_logging.pipelines"

Device: TypeAlias = Annotated[str, Meta(min_length=1, description='a device, such as "cuda", "cuda:1", "mps" or "cpu"')]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Positive: TypeAlias = Annotated[float, Meta(gt=0, le=1e9, description="a number above 0")]
Guidance: TypeAlias = Annotated[float, Meta(ge=0, le=1e9, description="a number, 0 or more")]


class ModelConfig(CheckedConfig, frozen=True, kw_only=True):
    """How a pipeline computes the losses of an evaluation.

    Args:
        library: what loads the pipeline: ``"diffusers"``, or another name that a package registers in the entry-point
            group ``loss_logging.pipelines``.
        resolution: side of the square that each image is scaled and cropped to, in pixels; the pipeline's own if None.
        device: what to compute on; a GPU where there is one if None.
        dtype: precision of the model; bfloat16 on a GPU and float32 elsewhere if None. The VAE is in float32.
        snr_gamma: keep the min-SNR weight for this gamma as a component; no such weight if None.
        guidance_scale: what a model distilled for guidance (Flux) is told.
        max_sequence_length: tokens that T5 and language models see of a caption; the pipeline's own if None.
    """

    library: str = "diffusers"
    resolution: Count | None = None
    device: Device | None = None
    dtype: Precision | None = None
    snr_gamma: Positive | None = None
    guidance_scale: Guidance = 3.5
    max_sequence_length: Count | None = None

    @classmethod
    def _checks(cls) -> Mapping[str, Check]:
        return {"library": _check_library}


class PipelineFunction(Protocol):
    """A loaded pipeline as a compute function.

    A package registers a function that makes it, in the entry-point group ``loss_logging.pipelines``. It is called with
    the folder of the pipeline, and by keyword with ``paired`` and the keys of a `ModelConfig`, but for ``library`` and
    ``resolution``; and with ``cache``, a `TensorCache`, where the user asks for one.

    Attributes:
        resolution: side of the images that the pipeline was made for, in pixels.
        multiple: the side of an image must be a multiple of so many pixels.
    """

    resolution: int
    multiple: int

    def __call__(self, batch: Mapping[str, Any], draw: Draw) -> list[SampleRecord]:
        """The records of a batch of `ImageBatches`, at the noise and timesteps of the draw."""


class PipelineOnImages:
    """The loaded pipeline as a compute function, which opens the images itself where they come as rows.

    Args:
        folder: where the pipeline is.
        config: how it computes.
        paired: compute each loss with the empty caption too.
        cache: keeps encodings on disk; the function that loads the pipeline is given it by keyword if it is not None.

    Raises:
        ConfigError: a value does not fit the pipeline or this machine.
        LossLoggingError: the pipeline cannot encode the empty caption.
    """

    def __init__(self, folder: str, config: ModelConfig, paired: bool, cache: TensorCache | None = None) -> None:
        options: dict[str, Any] = {
            name: getattr(config, name) for name in config.__struct_fields__ if name not in ("library", "resolution")
        }
        options |= {} if cache is None else {"cache": cache}
        load = _installed()[config.library].load()
        self._compute: PipelineFunction = load(folder, paired=paired, **options)
        self.resolution: int = self._compute.resolution if config.resolution is None else config.resolution
        if self.resolution % self._compute.multiple:
            raise ConfigError(
                f"$.model.resolution: got {self.resolution}; "
                f"allowed: a multiple of {self._compute.multiple} for this pipeline"
            )

    def load(self, rows: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """A batch with the images opened, and those that do not open."""
        return open_rows(rows, self.resolution)

    def __call__(self, batch: Mapping[str, Any], draw: Draw) -> list[SampleRecord]:
        return self._compute(batch, draw)


def _check_library(value: Any, _hint: Any, where: str) -> str:
    known = _installed()
    if value not in known:
        close = near_miss(value, known) if isinstance(value, str) else ""
        raise ConfigError(f"{where}: got {value!r}; allowed: {_allowed(known)}{close}")
    return str(value)


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _allowed(known: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(known))
