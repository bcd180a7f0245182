"""Writes TensorBoard event files with only the ``tensorboard`` package.

Both ``torch.utils.tensorboard`` and tensorboardX import torch if it is installed (a second or more, 200 MB and more),
and write through their own queue and thread. A backend already has a thread, and needs to see the error.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG, PLUGIN_NAME
from tensorboard.summary.writer.record_writer import RecordWriter

__all__ = ["EventWriter"]

_PREFIX = "events.out.tfevents."


def _next_name(log_dir: Path) -> str:
    """A name that sorts after all names in the folder, also in the same second, as TensorBoard reads in this order."""
    there = [path.name.removeprefix(_PREFIX).partition(".")[0] for path in log_dir.glob(f"{_PREFIX}*")]
    latest = max((int(second) for second in there if second.isdecimal()), default=0)
    return f"{_PREFIX}{max(int(time.time()), latest + 1):010d}.{socket.gethostname()}.{os.getpid()}.0"


class EventWriter:
    """The part of a SummaryWriter that a backend uses, with the same names and arguments.

    `flush` writes all added data to the file, or none if the disk refuses: the file then ends as before, and the same
    data may be added again.

    Raises:
        OSError: the file cannot be made; no file is left behind.
    """

    def __init__(self, log_dir: Path) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        path = log_dir / _next_name(log_dir)
        self._file: IO[bytes] = path.open("xb", buffering=0)
        self._added = io.BytesIO()
        try:
            self._write(Event(file_version="brain.Event:2"))
            self.flush()
        except OSError:
            self._file.close()
            path.unlink()
            raise

    def purge(self, step: int) -> None:
        """Hide the data of ``step`` and later steps in earlier files of the folder, as after resuming."""
        self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add a number."""
        self._add(Summary.Value(tag=tag, simple_value=scalar_value), global_step)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,  # noqa: A002 - the names that SummaryWriter uses
        max: float,  # noqa: A002
        num: float,
        sum: float,  # noqa: A002
        sum_squares: float,
        bucket_limits: Sequence[float],
        bucket_counts: Sequence[float],
        global_step: int,
    ) -> None:
        """Add a histogram of buckets with the given upper limits; the first bucket begins at ``min``."""
        histogram = HistogramProto(
            min=min,
            max=max,
            num=num,
            sum=sum,
            sum_squares=sum_squares,
            bucket_limit=bucket_limits,
            bucket=bucket_counts,
        )
        self._add(Summary.Value(tag=tag, histo=histogram), global_step)

    def add_image(self, tag: str, img_tensor: npt.NDArray[np.uint8], global_step: int, *, dataformats: str) -> None:
        """Add a picture (H, W, 3), as a JPEG. Needs Pillow."""
        from PIL import Image

        assert dataformats == "HWC"
        height, width, colours = img_tensor.shape
        encoded = io.BytesIO()
        Image.fromarray(img_tensor).save(encoded, "JPEG", quality=85)
        image = Summary.Image(height=height, width=width, colorspace=colours, encoded_image_string=encoded.getvalue())
        self._add(Summary.Value(tag=tag, image=image), global_step)

    def add_text(self, tag: str, text_string: str, global_step: int) -> None:
        """Add text, which TensorBoard renders as markdown."""
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text_string.encode()], tensor_shape=shape)
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add(Summary.Value(tag=f"{tag}/text_summary", tensor=tensor, metadata=metadata), global_step)

    def add_custom_scalars(self, layout: dict[str, dict[str, list[Any]]]) -> None:
        """Add a layout of charts: for each category the charts by title, ``["Multiline", [pattern, ...]]``."""
        charts = Layout(
            category=[
                Category(
                    title=category,
                    chart=[
                        Chart(title=title, multiline=MultilineChartContent(tag=tags)) for title, (_, tags) in of.items()
                    ],
                )
                for category, of in layout.items()
            ]
        )
        tensor = TensorProto(dtype=DT_STRING, string_val=[charts.SerializeToString()], tensor_shape=TensorShapeProto())
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME))
        self._add(Summary.Value(tag=CONFIG_SUMMARY_TAG, tensor=tensor, metadata=metadata), 0)

    def flush(self) -> None:
        """Pass all added data to the operating system, so that they survive this process.

        Raises:
            OSError: the disk refuses; the file has none of the data since the last flush.
        """
        data = self._added.getvalue()
        self.discard()
        end = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._file.seek(end)
            self._file.truncate()
            raise

    def discard(self) -> None:
        """Drop the data that were added since the last `flush`."""
        self._added = io.BytesIO()

    def close(self) -> None:
        """Close the file, without the data since the last `flush`."""
        self._file.close()

    def _add(self, value: Summary.Value, step: int) -> None:
        self._write(Event(step=step, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        RecordWriter(self._added).write(event.SerializeToString())
