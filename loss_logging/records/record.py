"""SampleRecord: what one training or evaluation sample reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from loss_logging.records.frames import each_record

__all__ = ["RecordLike", "SampleRecord", "as_records"]

_REQUIRED = ("path", "dataset", "caption", "loss")


class SampleRecord(msgspec.Struct, frozen=True):
    """The loss of one sample at one step.

    Args:
        path: identifies the item within its dataset; a file path or any other stable key.
        dataset: name of the dataset; empty or ``None`` is counted as ``"unknown"``.
        caption: the text the model was conditioned on at this step.
        loss: the unweighted loss of this example alone. NaN and infinity are kept and counted as non-finite.
        step: the training step, 0 or more.
        timestep: the diffusion timestep or noise level, on any one scale (0 to 1, 0 to 1000, sigmas).
        loss_empty: the loss of the same example with the empty caption, at the same noise and timestep.
        components: named parts of or additions to the loss, such as weights and prior terms.
        is_reg: True for a regularisation (class) image; its caption is never flagged.
        caption_dropped: True when caption dropout replaced the caption at this step.
        loss_rival: as ``loss_empty``, with the caption of a rival; of several rivals the mean of their losses.
        rival: that caption; of several, that of the first.

    Example:
        >>> SampleRecord("cat/01.png", "cats", "a cat on a sofa", 0.25, step=3).loss
        0.25
    """

    path: str
    dataset: str
    caption: str
    loss: float
    step: int = 0
    timestep: float | None = None
    loss_empty: float | None = None
    components: dict[str, float] = {}
    is_reg: bool = False
    caption_dropped: bool = False
    loss_rival: float | None = None
    rival: str | None = None


RecordLike: TypeAlias = SampleRecord | Mapping[str, object]
"""Accepted wherever records are: a SampleRecord, or a mapping with at least path, dataset, caption, loss. A frame of
pandas, Polars or Arrow is as good as a list of them."""


def as_records(records: Iterable[RecordLike], position: int = 0) -> list[SampleRecord]:
    """Turn mappings into SampleRecords; SampleRecords pass through. Keys that are no field are ignored.

    Args:
        records: SampleRecords and mappings, mixed as they come; or the rows of a frame of pandas, Polars or Arrow.
        position: where the first one stands in the caller's sequence; error messages count from there.

    Raises:
        ValueError: a mapping lacks ``path``, ``dataset``, ``caption`` or ``loss``; names its position and the keys.
        TypeError: an element is neither a SampleRecord nor a mapping.
    """
    return [
        record if isinstance(record, SampleRecord) else _from_mapping(i, record)
        for i, record in enumerate(each_record(records), position)
    ]


def _from_mapping(position: int, record: object) -> SampleRecord:
    if not isinstance(record, Mapping):
        raise TypeError(
            f"records[{position}] is a {type(record).__name__}; expected a SampleRecord or a mapping with the keys "
            f"{', '.join(_REQUIRED)}"
        )
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise ValueError(
            f"records[{position}] lacks {', '.join(missing)} (it has {', '.join(map(str, record)) or 'no keys'}); "
            f"required: {', '.join(_REQUIRED)}"
        )
    return SampleRecord(**{name: record[name] for name in SampleRecord.__struct_fields__ if name in record})
