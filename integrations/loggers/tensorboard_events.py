"""Writes TensorBoard event files with the ``tensorboard`` package alone.

Both ``torch.utils.tensorboard`` and tensorboardX import torch where it is installed (a second or more, 200 MB and more)
and write behind a queue and a thread of their own; a backend has its thread already and wants to see the error.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

__all__ = ["EventWriter"]

_numbers = itertools.count()


class EventWriter:
    """The part of a SummaryWriter that a backend uses, with the same names and arguments.

    Events of this folder at or after ``purge_step`` that an earlier writer left are hidden, as after resuming.
    """

    def __init__(self, log_dir: Path, purge_step: int) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = (log_dir / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

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
        """Add a histogram whose buckets are given by their upper limits; the first one begins at ``min``."""
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

    def add_text(self, tag: str, text_string: str, global_step: int) -> None:
        """Add text, which TensorBoard renders as markdown."""
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text_string.encode()], tensor_shape=shape)
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add(Summary.Value(tag=f"{tag}/text_summary", tensor=tensor, metadata=metadata), global_step)

    def flush(self) -> None:
        """Hand everything to the operating system: it outlives this process."""
        self._file.flush()

    def close(self) -> None:
        """Flush, and close the file."""
        self._file.close()

    def _add(self, value: Summary.Value, step: int) -> None:
        self._write(Event(step=step, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
